// Command pulse-control-plane is the control plane: one binary that serves /v1.
package main

import (
	"fmt"
	"os"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	if len(args) == 1 && args[0] == "version" {
		fmt.Println("pulse-control-plane")
		return 0
	}
	fmt.Fprintln(os.Stderr, "usage: pulse-control-plane version")
	return 2
}
