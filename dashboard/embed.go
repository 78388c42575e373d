package dashboard

import "embed"

// files are the page and its modules, as they are written: nothing is built.
//
//go:embed index.html favicon.svg theme.css boot.js main.js messages.js kit shell screens rtc
var files embed.FS
