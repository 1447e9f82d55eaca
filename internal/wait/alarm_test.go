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
			came := make(chan time.Time)
			go func() {
				defer close(came)
				for a.Wait() {
					came <- time.Now()
				}
			}()
			began := time.Now()
			a.Set(time.Hour)
			a.Set(20 * time.Millisecond) // in place of the hour
			if took := (<-came).Sub(began); took < 20*time.Millisecond {
				t.Errorf("an alarm that was set to 20 ms came after %s", took)
			}
			a.Set(-1) // at once
			<-came
			a.Set(time.Hour)
			select {
			case <-came:
				t.Error("an alarm that was set to an hour came at once")
			case <-time.After(20 * time.Millisecond):
			}
			a.Close()
			a.Close()
			a.Set(1)
			if _, more := <-came; more {
				t.Error("an alarm came after it was closed")
			}
		})
	}
}

func TestAnAlarmThatIsNeverSetEnds(t *testing.T) {
	a := NewAlarm()
	ended := make(chan bool)
	go func() { ended <- a.Wait() }()
	a.Close()
	if <-ended {
		t.Error("an alarm that was not set came")
	}
}
