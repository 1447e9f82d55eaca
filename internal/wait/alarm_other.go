//go:build !linux

package wait

func newAlarm() alarm { return newTimerAlarm() }
