package hotset

import (
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook/task"
)

// A script has the functions of the prelude that it needs, and no others.
func TestAScriptHasTheFunctionsThatItCalls(t *testing.T) {
	prelude := `local a = 1
-- unused(), by a comment alone
local function one(x) return x end -- in a line
local function two(x)
  for i = 1, 2 do x = x + 1 end
  return one(x)
end
local function three(x)
  return x
end
local function four(x) return three(x) end
local b = a
`
	for script, want := range map[string]string{"return two(1)": "one two", "return a": "", "return one(2) + four(3)": "one three four"} {
		got := string(leaveOutUnused([]byte(prelude), []byte(script)))
		for _, name := range []string{"one", "two", "three", "four"} {
			has, wanted := strings.Contains(got, "local function "+name+"("), strings.Contains(want, name)
			if has != wanted {
				t.Errorf("%q: the prelude has %s: %t, want %t", script, name, has, wanted)
			}
		}
		if !strings.HasPrefix(got, "local a = 1\n") || !strings.HasSuffix(got, "local b = a\n") || strings.Count(got, "end\n") > strings.Count(prelude, "end\n") {
			t.Errorf("%q: the prelude is %q", script, got)
		}
	}
	all := readLua(t)
	for verb, text := range all {
		if left := string(leaveOutUnused([]byte(all["prelude"]), []byte(text))); !alone[verb] && verb != "prelude" && len(left) == len(all["prelude"]) {
			t.Errorf("%s.lua needs all functions of the prelude", verb)
		}
	}
}

// The field `caller` saves work, and changes no answer: also of a generation that an older version of the library began, without it.
func TestAGenerationWithoutACallerIsServed(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
	defer rdb.Close()
	r, err := NewRedis(rdb, Options{})
	if err != nil {
		t.Fatal(err)
	}
	expect := func(identity string, generation int64) {
		t.Helper()
		r.expected = expectation{}
		if err := r.Expect(task.Expected{Identity: identity, Generations: []int64{generation}}); err != nil {
			t.Fatal(err)
		}
	}
	begin := func(generation int64) {
		t.Helper()
		f, err := r.Horizon(t.Context(), 0, task.HorizonRequest{Epoch: 1, HorizonMS: 1 << 40, Limit: 10, Generation: generation})
		if err != nil || f.AsOf.Generation != generation || !f.New {
			t.Fatalf("Horizon answered %+v, %v; want generation %d, new", f, err, generation)
		}
	}
	expect("one", 0)
	begin(5)
	expect("one", 5)
	if _, err := r.Remove(t.Context(), 0, "", []task.Ref{{ID: "a", Ver: 1}}); err != nil {
		t.Fatal(err)
	}
	rdb.Del(t.Context(), r.keys[0].fixed[4:7]...)
	begin(7) // on data that the caller expects, and that lacks a set of tombstones
	meta := r.keys[0].fixed[0]
	if got := rdb.HGet(t.Context(), meta, "caller").Val(); got != "1 one 7" {
		t.Errorf("meta has the caller %q, want %q", got, "1 one 7")
	}
	for _, without := range []bool{false, true} {
		if without {
			rdb.HDel(t.Context(), meta, "caller")
		}
		for _, c := range []struct {
			identity   string
			generation int64
			want       string
		}{{"one", 7, ""}, {"one", 8, task.ErrOther.Error()}, {"two", 7, task.ErrMismatch.Error()}} {
			expect(c.identity, c.generation)
			r.seen[0] = sighting{}
			_, err := r.Claim(t.Context(), 0, task.ClaimRequest{Token: "t", Limit: 1, Lease: 1})
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("without a caller: %t; a claim of %q for generation %d: %v, want %q", without, c.identity, c.generation, err, c.want)
			}
		}
	}
}
