package testserver

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func ask(t *testing.T, s *Server, command string) string {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "%s\r\n", command)
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

func TestARedisComesBackEmptyOrFromItsSnapshot(t *testing.T) {
	s := Own(t, Redis)
	boot := func(how func()) {
		t.Helper()
		how()
		if err := s.Boot(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ask(t, s, "SET a 1")
	boot(s.Kill)
	if got := ask(t, s, "EXISTS a"); got != ":0" {
		t.Errorf("after a kill EXISTS a answers %q, want :0", got)
	}
	ask(t, s, "SET b 1")
	ask(t, s, "SAVE")
	ask(t, s, "SET c 1")
	boot(s.Stop)
	if got := ask(t, s, "EXISTS b c"); got != ":1" {
		t.Errorf("after a restart from a snapshot EXISTS b c answers %q, want :1", got)
	}
}

func TestTheLocaleDecidesHowLuaCompares(t *testing.T) {
	for kind, want := range map[Kind]string{Redis: ":0", RedisUTF8: ":1"} {
		if got := ask(t, Shared(t, kind), `EVAL "if 'a' < 'B' then return 1 else return 0 end" 0`); got != want {
			t.Errorf("%s: 'a' < 'B' answers %q, want %q", kind, got, want)
		}
	}
}

// The child starts a server and is killed.
func TestServersEndWithTheirProcess(t *testing.T) {
	if os.Getenv("TESTSERVER_CHILD") != "" {
		s, err := Start(context.Background(), Redis)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("ADDR", s.Addr)
		<-t.Context().Done()
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestServersEndWithTheirProcess$")
	cmd.Env = append(os.Environ(), "TESTSERVER_CHILD=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var addr string
	for sc := bufio.NewScanner(out); addr == "" && sc.Scan(); {
		addr, _ = strings.CutPrefix(sc.Text(), "ADDR ")
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	deadline := time.After(time.Minute)
	for (&Server{Kind: Redis, Addr: addr}).answers() {
		select {
		case <-deadline:
			t.Fatalf("the server at %s outlives its process", addr)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// PostgreSQL refuses root, and is run as another user for it.
func TestPostgresAnswersWhicheverUserStartsIt(t *testing.T) {
	s := Own(t, Postgres)
	v, err := s.Version()
	if err != nil || !strings.HasPrefix(v, "15.") {
		t.Errorf("version is %q, %v; want 15", v, err)
	}
	if s.PID() == 0 {
		t.Error("its process is not known")
	}
}

// What a DSN names is the kind that it greets as, and is handed on as it came.
func TestAServerFromOutsideIsWhatItGreetsAs(t *testing.T) {
	for _, kind := range []Kind{MariaDB, MySQL56, MySQL} {
		server := Shared(t, kind)
		dsn := server.DSN("") // from outside too, where the environment names it
		t.Run(string(kind), func(t *testing.T) {
			t.Setenv(MySQL.Env(), dsn)
			s, err := External(MySQL)
			if err != nil {
				t.Fatal(err)
			}
			if s.Kind != server.Kind || s.Addr != server.Addr || s.Export() != dsn {
				t.Errorf("External is a %s at %s that exports %s, want a %s at %s and %s", s.Kind, s.Addr, s.Export(), server.Kind, server.Addr, dsn)
			}
			version, err := s.Version()
			want, err2 := server.Version()
			if err != nil || err2 != nil || version != want {
				t.Errorf("its version is %s, %v, want %s, %v", version, err, want, err2)
			}
		})
	}
}

func TestKindsByGreeting(t *testing.T) {
	for name, want := range map[string]Kind{
		"5.5.5-10.6.18-MariaDB-log": MariaDB, "11.4.2-MariaDB-ubu2404": MariaDB, "5.6.24-log": MySQL56, "5.7.44": MySQL, "8.0.36-28": MySQL, "9.7.1": MySQL,
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				fmt.Fprintf(c, "\x4a\x00\x00\x00\x0a%s\x00", name)
				c.Close()
			}
		}()
		t.Setenv(MySQL.Env(), "root@tcp("+l.Addr().String()+")/")
		if s, err := External(MySQL); err != nil || s.Kind != want {
			t.Errorf("a server that greets as %s: %+v, %v, want %s", name, s, err, want)
		}
	}
}
