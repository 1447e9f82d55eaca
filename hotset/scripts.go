package hotset

import (
	"fmt"
	"regexp"
	"slices"
	"sync"

	"github.com/redis/go-redis/v9"
)

// alone are the scripts that have no prelude: elections and workers belong to no generation, and check must name
// each right that is missing.
var alone = map[string]bool{"elect": true, "heartbeat": true, "workers": true, "check": true}

// loadScripts puts the verb's name and the prelude before each script, except those that have none (alone). Of the
// functions of the prelude a script has those that it uses: a server makes each function anew for each call. All sets of a process share
// the scripts.
var loadScripts = sync.OnceValues(func() (map[string]*redis.Script, error) {
	prelude, err := files.ReadFile("lua/prelude.lua")
	if err != nil {
		return nil, fmt.Errorf("read scripts: %w", err)
	}
	list, err := files.ReadDir("lua")
	if err != nil {
		return nil, fmt.Errorf("read scripts: %w", err)
	}
	scripts := map[string]*redis.Script{}
	for _, f := range list {
		text, err := files.ReadFile("lua/" + f.Name())
		if err != nil {
			return nil, fmt.Errorf("read scripts: %w", err)
		}
		verb := f.Name()[:len(f.Name())-len(".lua")]
		if !alone[verb] {
			text = slices.Concat([]byte("local verb = '"+verb+"'\n"), leaveOutUnused(prelude, text), text)
		}
		scripts[verb] = redis.NewScript(string(text))
	}
	return scripts, nil
})

// function matches a function of the prelude, which ends in its first line or with the first line that is an end alone. called matches
// what is called.
var (
	function = regexp.MustCompile(`(?m)^local function (\w+)\((?:.* end(?: --.*)?|(?s:.*?)^end)$\n`)
	called   = regexp.MustCompile(`(\w+)\(`)
)

// leaveOutUnused returns prelude without the functions that neither script calls nor what is left of prelude.
func leaveOutUnused(prelude, script []byte) []byte {
	bodies := map[string][]byte{} // of functions that nothing is known to call
	rest := function.ReplaceAllFunc(prelude, func(f []byte) []byte {
		bodies[string(function.FindSubmatch(f)[1])] = f
		return nil
	})
	for texts := [][]byte{rest, script}; len(texts) > 0; texts = texts[1:] {
		for _, call := range called.FindAllSubmatch(texts[0], -1) {
			if body, is := bodies[string(call[1])]; is {
				delete(bodies, string(call[1]))
				texts = append(texts, body)
			}
		}
	}
	return function.ReplaceAllFunc(prelude, func(f []byte) []byte {
		if _, unused := bodies[string(function.FindSubmatch(f)[1])]; unused {
			return nil
		}
		return f
	})
}
