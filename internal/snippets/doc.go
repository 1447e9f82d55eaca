// Package snippets keeps the code of the pages true: a test collects each fenced block of README.md, docs, and the other
// pages, compiles what is Go, and runs what is shell.
//
// A comment on the line above a block says how:
//
//	<!-- snippet: func(s *triggerhook.Scheduler) error -->  Go: the body of this function, which is compiled
//	<!-- snippet: from examples/payment/shop.go -->         Go: a part of this file, word by word
//	<!-- snippet: file main.go -->                          a file, which the reader writes in the folder of the page
//	<!-- snippet: prints REGEXP -->                         shell: ends with exit code 0, and its output matches
//	<!-- snippet: starts REGEXP -->                         shell: goes on in the background once its output matches; it is interrupted
//	                                                        at the end of the page, and then ends with exit code 0 (unless it is go run)
//	<!-- snippet: restarts REGEXP -->                       the same, after what is in the background was interrupted
//	<!-- snippet: brings REGEXP -->                         shell: ends with exit code 0, and then what is in the background prints what matches, or a
//	                                                        webhook to 127.0.0.1:9000 has it
//
// Without a comment a Go block is a whole program, and a shell block ends with exit code 0. A fragment in Go imports what it uses
// by itself (imports), and need not use what it declares.
//
// The shell blocks of a page run one after the other, in one empty folder, and see what the ones before exported. The names of servers in the pages
// stand for servers of the test (newSession). What does not run at all is in notRun, with the reason. A block of Go or shell that is neither checked nor
// listed fails the test, and so does code that is indented and has no fence.
package snippets
