package snippets

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/triggerhook/triggerhook/internal/testserver"
)

const root = "../.."

// bin is the folder of the command triggerhook.
var bin string

func TestMain(m *testing.M) { os.Exit(inTemp(testserver.Closing(m))) }

// inTemp runs the tests while bin is there.
func inTemp(m interface{ Run() int }) (code int) {
	var err error
	if bin, err = os.MkdirTemp("", "snippets-*"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := os.RemoveAll(bin); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}()
	return m.Run()
}

// all are the blocks of all pages.
func all(t *testing.T) []block {
	t.Helper()
	found, err := blocks(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 40 {
		t.Fatalf("%d blocks: the pages have more", len(found))
	}
	return found
}

// Each Go block is a program or a part of one, and compiles; or it stands, word by word, in a file that is compiled and tested.
func TestGoBlocksCompile(t *testing.T) {
	t.Parallel()
	var own []block
	for _, b := range all(t) {
		switch {
		case b.lang != "go" || b.key() == "file": // the latter are built where their page is played
		case b.key() == "from":
			if text := file(t, b.value()); !strings.Contains(text, b.text) {
				t.Errorf("%s does not stand in %s:\n%s", b, b.value(), b.text)
			}
		default:
			own = append(own, b)
		}
	}
	problems, err := compile(tree(t), t.TempDir(), own)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Error(p)
	}
}

// file is a Go file of the tree.
func file(t *testing.T, name string) string {
	t.Helper()
	if filepath.Ext(name) != ".go" {
		t.Fatalf("%s is no Go file", name)
	}
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Each entry of notRun is about a line that a page has, and says why it is not run.
func TestWhatIsNotRunIsThere(t *testing.T) {
	t.Parallel()
	met := map[int]bool{}
	for _, b := range all(t) {
		if b.shell() {
			for _, line := range commands(b.text) {
				met[listed(b.page, line)] = true
			}
		}
	}
	for i, s := range notRun {
		if !met[i] || s.because == "" {
			t.Errorf("%s has no line that begins with %q and is not listed before, or there is no reason: %q", s.page, s.line, s.because)
		}
	}
}

// Blocks that no program reads have a language that says so.
func TestEachBlockHasALanguageThatIsKnown(t *testing.T) {
	t.Parallel()
	known := []string{"go", "sh", "sql", "yaml", "js", "python", "json", "text", ""}
	for _, b := range all(t) {
		if !slices.Contains(known, b.lang) {
			t.Errorf("%s has the language %q, want one of %q", b, b.lang, known)
		}
		if first, _, _ := strings.Cut(strings.TrimSpace(b.text), " "); b.lang == "" && slices.Contains([]string{"go", "make", "curl", "docker", "helm", "triggerhook", "podman"}, first) {
			t.Errorf("%s is for a shell, and does not say so", b)
		}
	}
}

// The shell blocks of each page run, one after the other.
func TestShellBlocksRun(t *testing.T) {
	t.Parallel()
	byPage, ran := map[string][]block{}, 0
	for _, b := range all(t) {
		if runs(b) {
			byPage[b.page] = append(byPage[b.page], b)
			ran++
		}
	}
	if ran < 15 {
		t.Errorf("%d blocks run: the pages have more", ran)
	}
	buildCommand(t)
	for page, some := range byPage {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			if err := play(newSession(t), some); err != nil {
				t.Error(err)
			}
		})
	}
}

// play plays the blocks of a page.
func play(s *session, some []block) error {
	for _, b := range some {
		do := s.play
		if b.key() == "file" {
			do = s.write
		}
		if err := do(b); err != nil {
			return err
		}
	}
	return s.end()
}

// runs tells whether something is left to do of a block.
func runs(b block) bool {
	if b.key() != "file" && !b.shell() {
		return false
	}
	script, err := runnable(b)
	return b.key() == "file" || err != nil || script != ""
}

// built builds the command triggerhook, once.
var built = sync.OnceValue(func() error {
	build := exec.Command("go", "build", "-o", bin, ".")
	build.Dir = filepath.Join(root, "cmd/triggerhook")
	out, err := build.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, out)
	}
	return err
})

// buildCommand builds the command triggerhook into bin.
func buildCommand(t *testing.T) {
	t.Helper()
	if err := built(); err != nil {
		t.Fatal(err)
	}
}

// newSession is a session in an empty folder, with a MySQL database and a Redis of its own, and a receiver of webhooks.
func newSession(t *testing.T) *session {
	t.Helper()
	s := &session{t: t, dir: t.TempDir(), wait: time.Minute}
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(&s.sent, r.Body); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(receiver.Close)
	server, hot := testserver.Shared(t, testserver.MySQL), testserver.Own(t, testserver.Redis).Addr
	dsn := server.DSN(server.Database(t))
	api := freeAddress(t)
	s.swap = strings.NewReplacer(
		"root@tcp(127.0.0.1:3306)/reminders", dsn, "mysql://root@127.0.0.1:3306/reminders", storeURL(t, dsn), "mysql://app@db/shop", storeURL(t, dsn),
		"127.0.0.1:6379", hot, "cache:6379", hot,
		"127.0.0.1:8080", api, "--listen :8080", "--listen "+freeAddress(t), "--listen :8443", "--listen "+freeAddress(t), "--metrics-listen :9090", "--metrics-listen "+freeAddress(t),
		"http://127.0.0.1:9000/", receiver.URL,
		"go get "+library+"@latest", getFromTree(t))
	s.env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off", "TRIGGERHOOK_LISTEN="+api)
	certificate(t, s.dir)
	return s
}

// getFromTree is a command that does in a module what "go get" of the library does there, with this tree in place of a release.
func getFromTree(t *testing.T) string {
	t.Helper()
	from := tree(t)
	return "go mod edit -require " + library + "@v0.0.0 -replace " + library + "='" + from + "' && cp '" + from + "/go.sum' ."
}

// certificate writes the files that docs/serve.md names into dir.
func certificate(t *testing.T, dir string) {
	t.Helper()
	a := testserver.NewAuthority(t)
	for from, to := range map[string]string{a.Cert: "cert.pem", a.Key: "key.pem"} {
		if err := os.Rename(from, filepath.Join(dir, to)); err != nil {
			t.Fatal(err)
		}
	}
}

// freeAddress is an address of loopback that is not in use.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// storeURL is a DSN as the flag --store has it.
func storeURL(t *testing.T, dsn string) string {
	t.Helper()
	c, err := mysql.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u := url.URL{Scheme: "mysql", Host: c.Addr, Path: "/" + c.DBName, User: url.User(c.User)}
	if c.Passwd != "" {
		u.User = url.UserPassword(c.User, c.Passwd)
	}
	return u.String()
}
