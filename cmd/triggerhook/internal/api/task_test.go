package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/triggerhook/triggerhook"
)

// percent writes all bytes of text but letters and digits percent-encoded.
func percent(text string) string {
	var out strings.Builder
	for _, b := range []byte(text) {
		if b >= 'a' && b <= 'z' || b >= '0' && b <= '9' {
			out.WriteByte(b)
		} else {
			fmt.Fprintf(&out, "%%%02X", b)
		}
	}
	return out.String()
}

func quoted(text string) string { return fmt.Sprintf("%q", text) }

// A task of any id is created, shown, changed and deleted.
func TestATaskOfAnyID(t *testing.T) {
	each(t, func(w *world) {
		for _, id := range []string{"a", "customer-42/order/7", "a%2Fb", "ü/☕ ", "?#[]@!$&'()*+,;=:", "../a", "a//b/", "//", "...", "%", "tasks:batch", `"\`, strings.Repeat("x", 128)} {
			body := func(due, payload string) string {
				return fmt.Sprintf(`{"id":%s,"due":%q,"url":"http://127.0.0.1/hook?a=b","payload":%q,"headers":{"X-Tenant":"acme"}}`, quoted(id), due, payload)
			}
			created := w.do("POST", "/v1/tasks", body("2027-12-24T18:00:00Z", "tea")).want(201, "")
			if got := created.json(); got["outcome"] != "created" || got["id"] != id || got["due"] != "2027-12-24T18:00:00Z" {
				t.Errorf("%q: created %s", id, created.body)
			}
			if got := w.do("POST", "/v1/tasks", body("2027-12-24T18:00:00Z", "tea")).want(200, "").json(); got["outcome"] != "kept" {
				t.Errorf("%q: repeated: %v", id, got)
			}
			w.do("POST", "/v1/tasks", body("2027-12-24T18:00:00Z", "coffee")).want(409, "exists")
			w.do("POST", "/v1/tasks", body("2027-12-24T19:00:00Z", "tea")).want(409, "exists")

			path := "/v1/tasks/" + percent(id)
			got := w.do("GET", path, "").want(200, "")
			if g := got.json(); g["id"] != id || g["payload"] != "tea" || g["url"] != "http://127.0.0.1/hook?a=b" || g["content_type"] != "text/plain; charset=utf-8" ||
				fmt.Sprint(g["headers"]) != "map[x-tenant:acme]" || g["state"] != "scheduled" || g["next"] != "2027-12-24T18:00:00Z" || g["attempt"] != float64(1) {
				t.Errorf("%q: shown as %s", id, got.body)
			}
			if located := w.do("GET", created.header.Get("Location"), ""); located.body != got.body {
				t.Errorf("%q: Location %s leads to %s", id, created.header.Get("Location"), located.body)
			}
			w.do("DELETE", path, "").want(204, "")
			w.do("GET", path, "").want(404, "not-found")
			w.do("DELETE", path, "").want(404, "not-found")
			w.do("PATCH", path, `{"in":"1h"}`).want(404, "not-found")
			w.do("GET", strings.Replace(path, "/tasks/", "/history/", 1), "").want(200, "")
		}
	})
}

func TestChangesOfATask(t *testing.T) {
	each(t, func(w *world) {
		w.do("POST", "/v1/tasks", `{"id":"a","due":"2027-12-24T18:00:00Z","url":"https://example.com/a","payload_json":{"n": 1},"headers":{"x-a":"1","traceparent":"t"}}`).want(201, "")
		for _, step := range []struct{ body, due, url, media, headers, payload string }{
			{`{"due":"2027-12-25T18:00:00Z"}`, "2027-12-25T18:00:00Z", "https://example.com/a", "application/json", "map[traceparent:t x-a:1]", `{"n": 1}`},
			{`{"payload":"tea"}`, "2027-12-25T18:00:00Z", "https://example.com/a", "text/plain; charset=utf-8", "map[traceparent:t x-a:1]", "tea"},
			{`{"payload":"","content_type":"text/csv"}`, "2027-12-25T18:00:00Z", "https://example.com/a", "text/csv", "map[traceparent:t x-a:1]", ""},
			{`{"headers":{"x-b":"2"},"url":"https://example.com/b"}`, "2027-12-25T18:00:00Z", "https://example.com/b", "text/csv", "map[x-b:2]", ""},
			{`{"headers":{}}`, "2027-12-25T18:00:00Z", "https://example.com/b", "text/csv", "<nil>", ""},
		} {
			g := w.do("PATCH", "/v1/tasks/a", step.body).want(200, "").json()
			got := fmt.Sprint(g["due"], " ", g["url"], " ", g["content_type"], " ", g["headers"], " ", g["payload"])
			if want := fmt.Sprint(step.due, " ", step.url, " ", step.media, " ", step.headers, " ", step.payload); got != want {
				t.Errorf("after %s the task is\n%s, want\n%s", step.body, got, want)
			}
		}
		// The request that created it is recognized after all these changes: it was carried out.
		again := w.do("POST", "/v1/tasks", `{"due":"2027-12-24T18:00:00Z","id":"a","url":"https://example.com/a","payload_json":{"n":1},"headers":{"traceparent":"t","x-a":"1"}}`).want(200, "").json()
		if again["outcome"] != "kept" || again["due"] != "2027-12-25T18:00:00Z" {
			t.Errorf("the first request again: %v", again)
		}
		w.do("PATCH", "/v1/tasks/a", `{"payload_base64":"//79"}`).want(200, "")
		if g := w.do("GET", "/v1/tasks/a", "").json(); g["payload_base64"] != "//79" || g["content_type"] != "application/octet-stream" {
			t.Errorf("bytes: %v", g)
		}
	})
}

func TestOnConflict(t *testing.T) {
	each(t, func(w *world) {
		w.do("POST", "/v1/tasks", `{"id":"a","due":"2027-12-24T18:00:00Z","url":"https://example.com/","payload":"1"}`).want(201, "")
		for _, step := range []struct{ on, due, payload, outcome, now string }{
			{"keep", "2027-12-24T10:00:00Z", "2", "kept", "2027-12-24T18:00:00Z 1"},
			{"replace", "2027-12-24T10:00:00Z", "2", "replaced", "2027-12-24T18:00:00Z 2"},
			{"earliest", "2027-12-24T19:00:00Z", "3", "kept", "2027-12-24T18:00:00Z 2"},
			{"earliest", "2027-12-24T17:00:00Z", "3", "replaced", "2027-12-24T17:00:00Z 2"},
			{"debounce", "2027-12-24T20:00:00Z", "4", "replaced", "2027-12-24T20:00:00Z 4"},
		} {
			out := w.do("POST", "/v1/tasks", fmt.Sprintf(`{"id":"a","due":%q,"url":"https://example.com/","payload":%q,"on_conflict":%q}`, step.due, step.payload, step.on)).want(200, "").json()
			g := w.do("GET", "/v1/tasks/a", "").json()
			if now := fmt.Sprint(g["due"], " ", g["payload"]); out["outcome"] != step.outcome || now != step.now {
				t.Errorf("%s: outcome %v and then %s, want %s and %s", step.on, out["outcome"], now, step.outcome, step.now)
			}
		}
		w.do("POST", "/v1/tasks", `{"id":"a","in":"1h","url":"https://example.com/","on_conflict":"fail"}`).want(409, "exists")
		w.do("POST", "/v1/tasks", `{"id":"new","in":"1h","url":"https://example.com/","on_conflict":"debounce"}`).want(201, "")
	})
}

// An Idempotency-Key is one task of one token, while the task is unfinished. After it was sent, the same request makes it anew, under the same id.
func TestIdempotencyKey(t *testing.T) {
	var all map[string]string
	w := alone(t, func(o *Options) { all = withTokens(t, o, "read,write", "write,read") })
	w.token = all["read,write"]
	const body = `{"in":"1h","url":"https://example.com/","payload":"1"}`
	first := w.do("POST", "/v1/tasks", body, "Idempotency-Key: k1").want(201, "").json()
	again := w.do("POST", "/v1/tasks", body, "Idempotency-Key: k1").want(200, "").json()
	if again["id"] != first["id"] || again["outcome"] != "kept" || again["due"] != first["due"] {
		t.Errorf("repeated: %v, first %v", again, first)
	}
	w.do("POST", "/v1/tasks", strings.Replace(body, `"1"`, `"2"`, 1), "Idempotency-Key: k1").want(422, "key-reused")
	w.do("POST", "/v1/tasks", strings.Replace(body, `"in"`, `"id":"x","in"`, 1), "Idempotency-Key: k1").want(422, "invalid")
	w.do("POST", "/v1/tasks", strings.Replace(body, `"in"`, `"on_conflict":"replace","in"`, 1), "Idempotency-Key: k1").want(422, "invalid")
	w.do("POST", "/v1/tasks", body, "Idempotency-Key: "+strings.Repeat("x", 256)).want(422, "invalid")
	if other := w.do("POST", "/v1/tasks", body, "Idempotency-Key: k2").want(201, "").json(); other["id"] == first["id"] {
		t.Error("two keys are one task")
	}
	w.token = all["write,read"]
	if other := w.do("POST", "/v1/tasks", body, "Idempotency-Key: k1").want(201, "").json(); other["id"] == first["id"] {
		t.Error("one key of two tokens is one task")
	}
	w.token = all["read,write"]
	w.do("DELETE", "/v1/tasks/"+first["id"].(string), "").want(204, "")
	if anew := w.do("POST", "/v1/tasks", body, "Idempotency-Key: k1").want(201, "").json(); anew["id"] != first["id"] {
		t.Errorf("after its end: %v, want the id %v again", anew, first["id"])
	}
}

// A batch tells what became of each task, and a wrong one keeps back no other.
func TestBatch(t *testing.T) {
	each(t, func(w *world) {
		w.do("POST", "/v1/tasks", `{"id":"there","in":"1h","url":"https://example.com/","payload":"x"}`).want(201, "")
		items := []string{
			`{"id":"a","due":"2027-01-01T00:00:00Z","url":"https://example.com/","payload":"1"}`,
			`{"in":"1h","url":"https://example.com/"}`,
			`{"id":"there","in":"1h","url":"https://example.com/"}`,
			`{"id":"there","in":"1h","url":"https://example.com/","on_conflict":"replace"}`,
			`{"id":"a","in":"1h","url":"https://example.com/"}`,
			`{"id":"b","in":"soon","url":"https://example.com/"}`,
			`{"id":"c","in":"1h","url":"ftp://example.com/"}`,
			`{"id":"d","in":"1h","url":"https://example.com/","payloads":1}`,
			`{"id":"e","due":"2027-01-01T00:00:00Z","expires":"2026-12-31T00:00:00Z","url":"https://example.com/"}`,
			`{"id":"f","in":"1h","url":"https://example.com/","on_conflict":"keep"}`,
		}
		want := "[201 201 409 422 422 422 422 422 422 201]"
		for media, body := range map[string]string{"application/json": "[" + strings.Join(items, ",") + "]", "application/x-ndjson": strings.Join(items, "\n\n") + "\n"} {
			got := w.do("POST", "/v1/tasks:batch", body, "Content-Type: "+media).want(200, "")
			var statuses []any
			for _, r := range got.json()["results"].([]any) {
				statuses = append(statuses, r.(map[string]any)["status"])
			}
			if fmt.Sprint(statuses) != want || got.json()["failed"] != float64(7) {
				t.Errorf("%s: statuses %v, want %s; %s", media, statuses, want, got.body)
			}
			w.do("DELETE", "/v1/tasks/f", "")
			w.do("DELETE", "/v1/tasks/a", "")
		}
		keyed := `[{"in":"1h","url":"https://example.com/"},{"in":"2h","url":"https://example.com/"}]`
		first := w.do("POST", "/v1/tasks:batch", keyed, "Idempotency-Key: k").want(200, "").body
		if second := w.do("POST", "/v1/tasks:batch", keyed, "Idempotency-Key: k").want(200, "").body; strings.ReplaceAll(strings.ReplaceAll(first, "201", "200"), "created", "kept") != second {
			t.Errorf("a batch again by its key:\n%s\nfirst:\n%s", second, first)
		}
	})
	w := alone(t, func(o *Options) { o.Limits.Batch = 2 })
	w.do("POST", "/v1/tasks:batch", `[{},{},{}]`).want(422, "invalid")
	w.do("POST", "/v1/tasks:batch", `[]`).want(422, "invalid")
	w.do("POST", "/v1/tasks:batch", `{"id":"a"}`).want(400, "invalid")
	w.do("POST", "/v1/tasks:batch", `[{}]`, "Content-Type: text/plain").want(415, "media-type")
	w.do("POST", "/v1/tasks:batch", `[{}]`, "Content-Type: ").want(415, "media-type")
}

// Pages of a list have each task once, whatever their size, while tasks of pages before are deleted.
func TestPagesHaveEachTaskOnce(t *testing.T) {
	each(t, func(w *world) {
		var items []string
		for i := range 23 {
			items = append(items, fmt.Sprintf(`{"id":"%c/%02d","due":"2027-01-01T00:00:%02dZ","url":"https://example.com/","headers":{"x-odd":"%d"}}`, 'a'+i%3, i, i/4, i%2))
		}
		w.do("POST", "/v1/tasks:batch", "["+strings.Join(items, ",")+"]").want(200, "")
		for query, want := range map[string]int{"": 23, "id_prefix=b/": 8, "header=x-odd%3D1": 11, "due_from=2027-01-01T00:00:01Z&due_before=2027-01-01T00:00:03Z": 8,
			"id_prefix=a/&header=X-Odd%3D0&due_before=2027-01-01T00:00:04Z": 3, "id_prefix=nothing": 0} {
			for _, limit := range []int{1, 4, 5, 23, 1000} {
				seen := w.pages("/v1/tasks", "tasks", query, limit)
				if len(seen) != want {
					t.Errorf("%q by %d: %d tasks %v, want %d", query, limit, len(seen), seen, want)
				}
			}
		}
		w.do("GET", "/v1/tasks?cursor=x", "").want(422, "invalid")
		first := w.do("GET", "/v1/tasks?limit=3", "").json()
		w.do("GET", "/v1/tasks?id_prefix=a&cursor="+first["next_cursor"].(string), "").want(422, "invalid")
		for _, one := range first["tasks"].([]any) {
			w.do("DELETE", "/v1/tasks/"+percent(one.(map[string]any)["id"].(string)), "")
		}
		rest := w.do("GET", "/v1/tasks?limit=1000&cursor="+first["next_cursor"].(string), "").json()
		if n := len(rest["tasks"].([]any)); n != 20 || rest["next_cursor"] != nil {
			t.Errorf("%d tasks after the first page, want 20, and no more pages", n)
		}
	})
}

// pages reads all pages, and fails if an id comes twice.
func (w *world) pages(path, field, query string, limit int) map[string]bool {
	w.Helper()
	seen, next := map[string]bool{}, ""
	for range 100 {
		page := w.do("GET", fmt.Sprintf("%s?%s&limit=%d&cursor=%s", path, query, limit, url.QueryEscape(next)), "").want(200, "").json()
		items := page[field].([]any)
		if len(items) > limit {
			w.Errorf("%q: a page of %d, want at most %d", query, len(items), limit)
		}
		for _, one := range items {
			id := one.(map[string]any)["id"].(string)
			if seen[id] {
				w.Errorf("%q by %d: %s comes twice", query, limit, id)
			}
			seen[id] = true
		}
		if page["next_cursor"] == nil {
			return seen
		}
		next = page["next_cursor"].(string)
	}
	w.Fatalf("%q: the pages have no end", query)
	return nil
}

func TestChangesOfMany(t *testing.T) {
	each(t, func(w *world) {
		for i := range 4 {
			w.do("POST", "/v1/tasks", fmt.Sprintf(`{"id":"c/%d","due":"2027-01-01T0%d:00:00Z","expires":"2027-01-01T05:00:00Z","url":"https://example.com/","headers":{"x-n":"%d"}}`, i, i, i%2)).want(201, "")
		}
		for _, step := range []struct{ method, query, body, want string }{
			{"DELETE", "id_prefix=c/&dry_run=true", "", `{"matched":4,"changed":0,"claimed":0,"refused":0,"dry_run":true}`},
			{"PATCH", "header=x-n%3D1&dry_run=true", `{"by":"1h"}`, `{"matched":2,"changed":0,"claimed":0,"refused":0,"dry_run":true}`},
			{"PATCH", "header=x-n%3D1", `{"by":"3h"}`, `{"matched":2,"changed":1,"claimed":0,"refused":1,"dry_run":false}`},
			{"PATCH", "id_prefix=c/2", `{"due":"2027-01-01T00:30:00Z"}`, `{"matched":1,"changed":1,"claimed":0,"refused":0,"dry_run":false}`},
			{"DELETE", "header=x-n%3D1&due_before=2027-01-01T03:30:00Z", "", `{"matched":1,"changed":1,"claimed":0,"refused":0,"dry_run":false}`},
		} {
			got := w.do(step.method, "/v1/tasks?"+step.query, step.body).want(200, "")
			if strings.TrimSpace(got.body) != step.want {
				t.Errorf("%s %s %s: %s, want %s", step.method, step.query, step.body, got.body, step.want)
			}
		}
		for _, bad := range []struct{ method, query, body string }{
			{"DELETE", "", ""}, {"PATCH", "", `{"by":"1h"}`}, {"PATCH", "all=true", `{}`}, {"PATCH", "all=true", `{"by":"1h","in":"1h"}`}, {"PATCH", "all=true", `{"by":"0s"}`},
			{"DELETE", "header=x", ""}, {"DELETE", "due_from=yesterday", ""}, {"DELETE", "prefix=c", ""}, {"DELETE", "id_prefix=" + strings.Repeat("x", 129), ""},
		} {
			w.do(bad.method, "/v1/tasks?"+bad.query, bad.body).want(422, "invalid")
		}
		if seen := w.pages("/v1/tasks", "tasks", "", 100); len(seen) != 3 {
			t.Errorf("%v are left, want 3", seen)
		}
	})
}

// A task that is being sent is deleted, and the answer tells that the attempt goes on.
func TestDeleteOfAClaimedTask(t *testing.T) {
	each(t, func(w *world) {
		began, end := make(chan bool), make(chan bool)
		w.run(func(ctx context.Context, d *triggerhook.Delivery) error {
			began <- true
			<-end
			return nil
		})
		w.do("POST", "/v1/tasks", `{"id":"a","in":"0s","url":"https://example.com/"}`).want(201, "")
		<-began
		if state := w.do("GET", "/v1/tasks/a", "").json()["state"]; state != "in flight" {
			t.Errorf("state %v, want in flight", state)
		}
		w.do("DELETE", "/v1/tasks/a", "").want(409, "claimed")
		w.do("GET", "/v1/tasks/a", "").want(404, "not-found")
		close(end)
	})
}

func TestDeadLetters(t *testing.T) {
	each(t, func(w *world) {
		w.run(func(_ context.Context, d *triggerhook.Delivery) error { return triggerhook.Discard("gone: " + d.ID) })
		for i := range 7 {
			w.do("POST", "/v1/tasks", fmt.Sprintf(`{"id":"d/%d","in":"0s","url":"https://example.com/","payload":"p"}`, i)).want(201, "")
		}
		w.until("7 dead letters", func() bool { return len(w.pages("/v1/dead", "dead", "", 100)) == 7 })
		for query, want := range map[string]int{"": 7, "id_prefix=d/3": 1, "reason=discarded": 7, "reason=expired": 0, "died_before=2000-01-01T00:00:00Z": 0} {
			for _, limit := range []int{2, 7, 100} {
				if seen := w.pages("/v1/dead", "dead", query, limit); len(seen) != want {
					t.Errorf("%q by %d: %v, want %d", query, limit, seen, want)
				}
			}
		}
		one := w.do("GET", "/v1/dead?id_prefix=d/3&payloads=true", "").json()["dead"].([]any)[0].(map[string]any)
		if one["payload"] != "p" || one["url"] != "https://example.com/" || !strings.HasPrefix(fmt.Sprint(one["reason"]), "discarded: gone: d/3") || one["attempts"] != float64(1) {
			t.Errorf("a dead letter: %v", one)
		}
		w.do("POST", "/v1/dead/d%2F3/requeue", `{"in":"1h"}`).want(204, "")
		w.do("GET", "/v1/tasks/d%2F3", "").want(200, "")
		w.do("POST", "/v1/dead/d%2F3/requeue", "").want(404, "not-found")
		w.do("POST", "/v1/dead:requeue", `{"in":"1h"}`).want(422, "invalid")
		if n := w.do("POST", "/v1/dead:requeue?id_prefix=d/4", `{"in":"1h","rate":10}`).want(200, "").json()["count"]; n != float64(1) {
			t.Errorf("%v requeued, want 1", n)
		}
		if n := w.do("DELETE", "/v1/dead?id_prefix=d/5", "").want(200, "").json()["count"]; n != float64(1) {
			t.Errorf("%v purged, want 1", n)
		}
		w.do("DELETE", "/v1/dead", "").want(422, "invalid")
		history := w.do("GET", "/v1/history/d%2F6", "").want(200, "").json()["history"].([]any)
		if len(history) != 1 || history[0].(map[string]any)["how"] != "dead" {
			t.Errorf("history: %v", history)
		}
		if dead := w.do("GET", "/v1/stats", "").want(200, "").json()["dead"]; dead != float64(4) && dead != float64(7) { // figures are at most a second old
			t.Errorf("%v dead letters in the figures, want 4", dead)
		}
		forecast := w.do("GET", "/v1/forecast?within=1m,2h", "").want(200, "").json()["forecast"]
		if want := "[map[estimated:false tasks:0 within:1m0s] map[estimated:false tasks:2 within:2h0m0s]]"; fmt.Sprint(forecast) != want {
			t.Errorf("forecast %v, want %s", forecast, want)
		}
		w.do("GET", "/v1/forecast?within=soon", "").want(422, "invalid")
	})
}

func TestPause(t *testing.T) {
	each(t, func(w *world) {
		if w.do("GET", "/v1/pause", "").want(200, "").json()["paused"] != false {
			t.Error("paused at the beginning")
		}
		w.do("POST", "/v1/pause", `{"until":"2000-01-01T00:00:00Z"}`).want(422, "invalid")
		w.do("POST", "/v1/pause", `{"until":"2100-01-01T00:00:00Z","producers":true}`).want(204, "")
		w.until("the figures tell of the pause", func() bool {
			p := w.do("GET", "/v1/pause", "").json()
			return p["paused"] == true && p["until"] == "2100-01-01T00:00:00Z" && p["producers"] == true
		})
		refused := w.do("POST", "/v1/tasks", `{"in":"1h","url":"https://example.com/"}`).want(http.StatusServiceUnavailable, "paused")
		if refused.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		w.do("POST", "/v1/resume", "").want(204, "")
		w.do("POST", "/v1/tasks", `{"in":"1h","url":"https://example.com/"}`).want(201, "")
	})
}

// The server is a worker itself, and is seen with what it did.
func TestWorkers(t *testing.T) {
	each(t, func(w *world) {
		w.run(func(context.Context, *triggerhook.Delivery) error { return nil })
		w.do("POST", "/v1/tasks", `{"in":"1h","url":"https://example.com/"}`).want(201, "")
		w.until("the worker has told", func() bool {
			all := w.do("GET", "/v1/workers", "").want(200, "").json()["workers"].([]any)
			if len(all) != 1 {
				return false
			}
			one := all[0].(map[string]any)
			return one["created"] == float64(1) && one["in_hand"] == float64(0) && one["name"] != "" && len(one["roles"].([]any)) == 3
		})
	})
}
