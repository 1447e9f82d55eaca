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
		const linger, lingerFew = 20 * time.Millisecond, 100 * time.Millisecond
		type landing struct {
			at    time.Duration
			items int
		}
		var mu sync.Mutex
		var landed []landing
		began, lingers := time.Now(), true
		g := Group[int, int]{Max: 8, Parallel: 8, Linger: linger, LingerFew: lingerFew, Few: 4, Lingers: func() bool { return lingers }, Flush: func(items []int) []Result[int] {
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
		ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
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
		post(3, lingerFew)
		expect("calls that come one LingerFew apart", landing{0, 1}, landing{ms(100), 1}, landing{ms(200), 1})
		post(4, ms(40))
		<-time.After(lingerFew)
		expect("calls of which few come", landing{0, 1}, landing{ms(140), 3})
		post(8, ms(15))
		<-time.After(lingerFew)
		expect("calls that are few for longer than Linger", landing{0, 1}, landing{ms(60), 4}, landing{ms(175), 3})
		post(13, ms(6))
		<-time.After(lingerFew)
		expect("calls that come soon", landing{0, 1}, landing{ms(26), 4}, landing{ms(50), 4}, landing{ms(74), 4})
		post(13, ms(1))
		<-time.After(lingerFew)
		expect("calls that fill a flight", landing{0, 1}, landing{ms(8), 8}, landing{ms(29), 4})
		post(3, ms(1))
		lingers = false
		g.Ask()
		synctest.Wait()
		post(2, ms(1))
		expect("calls that may not linger any more", landing{0, 1}, landing{ms(3), 2}, landing{ms(3), 1}, landing{ms(4), 1})
	})
}
