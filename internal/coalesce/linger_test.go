package coalesce

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Rule 7: calls that come one soon after the other share flights; the first of them lingers for Linger, however many follow, and for LingerFew
// while they are fewer than Few.
func TestCallsLingerForOthersThatComeSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type landing struct {
			at    time.Duration
			items int
		}
		var mu sync.Mutex
		var landed []landing
		began, lingers := time.Now(), true
		g := Group[int, int]{Max: 40, Parallel: 8, Lingers: func() bool { return lingers }, Flush: func(items []int) []Result[int] {
			mu.Lock()
			defer mu.Unlock()
			landed = append(landed, landing{time.Since(began), len(items)})
			return make([]Result[int], len(items))
		}}
		post := func(n int, apart time.Duration) {
			for range n {
				g.Post(0)
				synctest.Wait()
				<-time.After(apart)
			}
		}
		us := func(n int) time.Duration { return time.Duration(n) * time.Microsecond }
		expect := func(what string, want ...landing) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(landed, want) {
				t.Errorf("%s: flights %v, want %v", what, landed, want)
			}
			<-time.After(time.Second)
			landed, began = nil, time.Now()
		}
		post(3, LingerFew)
		expect("calls that come one LingerFew apart", landing{0, 1}, landing{us(100_000), 1}, landing{us(200_000), 1})
		post(4, us(40_000))
		<-time.After(LingerFew)
		expect("calls of which few come", landing{0, 1}, landing{us(140_000), 3})
		post(2*Few, us(3000))
		<-time.After(LingerFew)
		expect("calls that are few for longer than Linger", landing{0, 1}, landing{us(60_000), Few}, landing{us(163_000), Few - 1})
		post(61, us(600))
		<-time.After(LingerFew)
		expect("calls that come soon", landing{0, 1}, landing{us(20_600), 34}, landing{us(41_000), 26})
		post(62, us(100))
		<-time.After(LingerFew)
		expect("calls that fill a flight", landing{0, 1}, landing{us(4000), 40}, landing{us(24_100), 21})
		post(3, us(1000))
		lingers = false
		g.Ask()
		synctest.Wait()
		post(2, us(1000))
		expect("calls that may not linger any more", landing{0, 1}, landing{us(3000), 2}, landing{us(3000), 1}, landing{us(4000), 1})
	})
}
