module pulse-control-plane

go 1.26.0

require (
	github.com/hashicorp/golang-lru/v2 v2.0.7
	go.mongodb.org/mongo-driver/v2 v2.10.0
	golang.org/x/sync v0.24.0
)

require github.com/davecgh/go-spew v1.1.2-0.20180830191138-d8f796af33cc // indirect
