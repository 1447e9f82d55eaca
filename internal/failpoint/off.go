//go:build !failpoint

package failpoint

// Hit does nothing: this is a production build. It is inlined to nothing.
func Hit(string) {}
