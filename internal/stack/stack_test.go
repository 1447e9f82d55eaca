package stack

import (
	"runtime"
	"runtime/debug"
	"testing"
)

// deep uses about 8 KiB of stack in many frames.
//
//go:noinline
func deep(n int) byte {
	var b [200]byte
	b[n%len(b)] = 1
	if n == 0 {
		return b[3]
	}
	return deep(n-1) + b[(n+1)%len(b)]
}

// inUse is how many bytes of stack goroutines use that have run first.
func inUse(t *testing.T, goroutines int, first func()) uint64 {
	t.Helper()
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection halves stacks that are hardly used
	var before, during runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	ran, end, ended := make(chan bool), make(chan bool), make(chan bool)
	for range goroutines {
		go func() { first(); ran <- true; <-end; ended <- true }()
	}
	for range goroutines {
		<-ran
	}
	runtime.ReadMemStats(&during)
	close(end)
	for range goroutines {
		<-ended
	}
	return during.StackInuse - min(before.StackInuse, during.StackInuse)
}

// A goroutine that has made room needs no more for a deep call.
func TestADeepCallFitsIntoTheRoom(t *testing.T) {
	const goroutines = 1000
	room := inUse(t, goroutines, Grow)
	both := inUse(t, goroutines, func() { Grow(); deep(30) })
	if least := uint64(goroutines * room16 * 9 / 10); room < least || both > room+room/4 {
		t.Errorf("%d goroutines with room have %d bytes of stack, want %d; after a deep call %d, want about as many", goroutines, room, least, both)
	}
}

// room16 is the least stack that Grow leaves: the next power of two above room.
const room16 = 16 << 10

func BenchmarkGoroutineForOneCall(b *testing.B) {
	for name, first := range map[string]func(){"as it begins": func() {}, "with room": Grow} {
		b.Run(name, func(b *testing.B) {
			done := make(chan byte, 1)
			for b.Loop() {
				go func() { first(); done <- deep(30) }()
				<-done
			}
		})
	}
}
