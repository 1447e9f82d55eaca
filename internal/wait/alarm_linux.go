package wait

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// fileAlarm is a timer of the kernel, which the runtime's poller wakes for at once.
type fileAlarm struct {
	file        *os.File
	fd          int    // of file
	expirations []byte // what is read of it
}

// newAlarm returns the alarm of the runtime if the kernel has no timers, or the poller does not take one.
func newAlarm() alarm {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return newTimerAlarm()
	}
	file := os.NewFile(uintptr(fd), "timerfd")
	if file.SetReadDeadline(time.Time{}) != nil { // the poller has not taken it, so that a read would not wait
		_ = file.Close()
		return newTimerAlarm()
	}
	return &fileAlarm{file, fd, make([]byte, 8)}
}

func (a *fileAlarm) set(d time.Duration) {
	// A valid time of an open timer is refused by no kernel.
	_ = unix.TimerfdSettime(a.fd, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}, nil)
}

func (a *fileAlarm) wait() bool {
	_, err := a.file.Read(a.expirations)
	return err == nil // otherwise it was closed
}

func (a *fileAlarm) close() { _ = a.file.Close() }
