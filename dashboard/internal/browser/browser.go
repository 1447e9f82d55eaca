// Package browser brings Chromium for the tests of the dashboard: a browser with a fresh profile for each test, which notes what goes
// wrong in its pages.
package browser

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Browser is a Chromium under the control of a test.
type Browser struct {
	context.Context // for chromedp.Run
	dir             string
	host            string // pages may ask this one for something, and no other
	ends            []func()

	mu       sync.Mutex
	problems []string
}

// installed is the folder of Chromium, which is installed once.
var installed = sync.OnceValues(func() (string, error) {
	cache := os.Getenv("TRIGGERHOOK_CACHE")
	if cache == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		cache = filepath.Join(base, "triggerhook")
	}
	_, here, _, _ := runtime.Caller(0)
	out, err := exec.Command("bash", filepath.Join(filepath.Dir(here), "install.sh"), cache).Output()
	if err != nil {
		detail := ""
		if exit, is := err.(*exec.ExitError); is {
			detail = ": " + string(exit.Stderr)
		}
		return "", fmt.Errorf("there is no Chromium to test with: install.sh: %w%s", err, detail)
	}
	return strings.TrimSpace(string(out)), nil
})

// Start starts a Chromium that ends with the test. Origin is the address of the only server that its pages may ask.
func Start(t testing.TB, origin string) *Browser {
	t.Helper()
	b, err := Open(t.TempDir(), origin)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// Open starts a Chromium with an empty folder for its profile. Close ends it.
func Open(profile, origin string) (*Browser, error) {
	dir, err := installed()
	if err != nil {
		return nil, err
	}
	at, err := url.Parse(origin)
	if err != nil {
		return nil, err
	}
	root := filepath.Join(dir, "root")
	var libraries []string
	for _, pattern := range []string{"usr/lib/*-linux-gnu", "lib/*-linux-gnu", "usr/lib/*-linux-gnu/pulseaudio"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return nil, err
		}
		libraries = append(libraries, found...)
	}
	// Without a sandbox, because it needs rights that a container does not give. The pages are our own.
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(filepath.Join(root, "usr/lib/chromium/chromium")),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("disable-dev-shm-usage", true), chromedp.UserDataDir(profile),
		chromedp.Env("LD_LIBRARY_PATH="+strings.Join(libraries, ":"), "FONTCONFIG_FILE="+filepath.Join(dir, "fonts.conf")))
	ctx, endTime := context.WithTimeout(context.Background(), mostTime)
	ctx, endProcess := chromedp.NewExecAllocator(ctx, options...)
	ctx, endPage := chromedp.NewContext(ctx)
	b := &Browser{Context: ctx, dir: dir, host: at.Host, ends: []func(){endPage, endProcess, endTime}}
	err = chromedp.Listen(ctx, b.note)
	if err == nil {
		_, err = chromedp.Call(ctx, network.Enable, network.EnableParams{})
	}
	if err != nil {
		b.Close()
		return nil, fmt.Errorf("chromium does not start: %w", err)
	}
	return b, nil
}

// patience is how long one step may take.
const patience = time.Minute

// mostTime is how long a browser lives at most.
const mostTime = 8 * time.Minute

// Close ends the browser.
func (b *Browser) Close() {
	for _, end := range b.ends {
		end()
	}
}

// note notes what no page of the dashboard may do: fail, write an error to the console, or ask another host.
func (b *Browser) note(event any) {
	var text string
	switch e := event.(type) {
	case *cdpruntime.EventExceptionThrown:
		text = "an exception: " + e.ExceptionDetails.Text
	case *cdpruntime.EventConsoleAPICalled:
		text = fmt.Sprintf("the console: %s %v", e.Type, e.Args)
	case *log.EventEntryAdded:
		text = fmt.Sprintf("the log: %s %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL)
	case *network.EventRequestWillBeSent:
		at, err := url.Parse(e.Request.URL)
		if err == nil && (at.Host == b.host || at.Scheme == "about") {
			return
		}
		text = "a request to " + e.Request.URL
	default:
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problems = append(b.problems, text)
}

// Problems returns what was noted since the last call.
func (b *Browser) Problems() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.problems
	b.problems = nil
	return all
}

// Do runs actions, and ends the test if one fails.
func (b *Browser) Do(t testing.TB, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatalf("the browser: %v", err)
	}
}

// Get returns the value of an expression.
func Get[T any](t testing.TB, b *Browser, expression string) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(b, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("the browser: %s: %v", expression, err)
	}
	return v
}

// Await waits until an expression is true. It asks again and again from outside of the page, the policy of which lets no text become a
// function there, as chromedp.Poll would have it.
func (b *Browser) Await(expression string) error {
	ctx, cancel := context.WithTimeout(b, patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		is, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+expression+")"))
		if err == nil && is {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it does not become true: %s: %w", expression, errors.Join(ctx.Err(), err))
		case <-tick.C:
		}
	}
}

// Wait is Await that ends the test.
func (b *Browser) Wait(t testing.TB, expression string) {
	t.Helper()
	if err := b.Await(expression); err != nil {
		text, _ := chromedp.Run(b, chromedp.Evaluate[string]("document.body.innerText"))
		t.Fatalf("the browser: %v\nThe page shows:\n%s", err, text)
	}
}

// Look sets the size of the window and the colour scheme, "light" or "dark".
func (b *Browser) Look(width, height int64, scheme string) error {
	_, err := chromedp.Call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	if err != nil {
		return err
	}
	return chromedp.Do(b, chromedp.EmulateViewport(width, height))
}

// Still has pages asked for reduced motion.
func (b *Browser) Still() error {
	_, err := chromedp.Call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: "reduce"}}})
	return err
}

// axe is the checker of accessibility.
var axe = sync.OnceValues(func() ([]byte, error) {
	dir, err := installed()
	if err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(dir, "axe.min.js"))
})

// Violations runs axe-core on the page that is shown, and returns what it finds: by those rules, or by all of them.
func (b *Browser) Violations(t testing.TB, rules ...string) []string {
	t.Helper()
	script, err := axe()
	if err != nil {
		t.Fatal(err)
	}
	b.Do(t, chromedp.Evaluate[chromedp.Void](string(script)+";0"))
	options := "{}"
	if len(rules) > 0 {
		options = fmt.Sprintf(`{runOnly: ["%s"]}`, strings.Join(rules, `", "`))
	}
	return Get[[]string](t, b, `axe.run(document, `+options+`).then(r => r.violations.map(v => v.id + ": " + v.help + ": " +
		v.nodes.map(n => n.html.slice(0, 200) + " " + n.failureSummary).join(" | ")))`)
}

// Save shows a page, waits until its figures are live if they are, and writes a picture: of all of it, or of what is in the window.
func (b *Browser) Save(page, file string, all bool) error {
	if err := chromedp.Do(b, chromedp.Navigate(page)); err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	if err := b.Await(`!document.getElementById("state") || document.querySelector(".live.on")`); err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	take := chromedp.CaptureScreenshot()
	if all {
		take = chromedp.FullScreenshot(100)
	}
	picture, err := chromedp.Run(b, take)
	if err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	return os.WriteFile(file, picture, 0o644)
}
