package wait

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// fileAlarm is a timer of the kernel, which the runtime's poller wakes for at once.
type fileAlarm struct {
	file *os.File
	fd   int           // of file
	done chan struct{} // closed when the goroutine has ended that reads file
}

// newAlarm returns nil if the kernel has no timers.
func newAlarm(ring chan<- struct{}) alarm {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil
	}
	a := &fileAlarm{file: os.NewFile(uintptr(fd), "timerfd"), fd: fd, done: make(chan struct{})}
	go func() {
		defer close(a.done)
		for expirations := make([]byte, 8); ; Wake(ring) {
			if _, err := a.file.Read(expirations); err != nil { // it was closed
				return
			}
		}
	}()
	return a
}

func (a *fileAlarm) set(d time.Duration) {
	// A valid time of an open timer is refused by no kernel.
	_ = unix.TimerfdSettime(a.fd, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}, nil)
}

func (a *fileAlarm) close() {
	_ = a.file.Close()
	<-a.done
}
