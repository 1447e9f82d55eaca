package wait

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAnAlarmComesWhenItIsSet(t *testing.T) {
	for name, a := range map[string]*Alarm{"of the machine": NewAlarm(), "of the runtime": NewTimerAlarm()} {
		t.Run(name, func(t *testing.T) {
			a.Set(time.Hour)
			began := time.Now()
			a.Set(20 * time.Millisecond) // in place of the hour
			<-a.C
			if took := time.Since(began); took < 20*time.Millisecond {
				t.Errorf("an alarm that was set to 20 ms came after %s", took)
			}
			a.Set(-1) // at once
			<-a.C
			a.Set(time.Hour)
			select {
			case <-a.C:
				t.Error("an alarm that was set to an hour came at once")
			case <-time.After(20 * time.Millisecond):
			}
			a.Close()
			a.Set(1)
		})
	}
}
