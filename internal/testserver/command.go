package testserver

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
)

// command is the server's command line. MySQLs flush at each commit, as they are
// to be run in production; Redis keeps nothing on disk by itself.
func (s *Server) command() *exec.Cmd {
	_, port, _ := net.SplitHostPort(s.Addr)
	if s.Kind == Postgres {
		return s.postgresServer(port)
	}
	if !s.Kind.SQL() {
		return s.redis(port)
	}
	data, tmp := filepath.Join(s.dir, "data"), filepath.Join(s.dir, "tmp")
	args := []string{"--no-defaults", "--user=" + username(), "--datadir=" + data, "--tmpdir=" + tmp, "--port=" + port,
		"--bind-address=127.0.0.1", "--socket=" + filepath.Join(s.dir, "sock"), "--pid-file=" + filepath.Join(s.dir, "pid"),
		"--max-connections=500", "--innodb-buffer-pool-size=256M", "--innodb-flush-log-at-trx-commit=1", "--sync-binlog=1",
		"--server-id=1", "--log-bin=" + filepath.Join(data, "bin"), "--binlog-format=ROW"}
	root := filepath.Join(s.base, "root")
	switch s.Kind {
	case MySQL56:
		return s.mysql56(args)
	case MariaDB:
		share := filepath.Join(root, "usr/share/mysql")
		args = append(args, "--basedir="+root+"/usr", "--lc-messages-dir="+share, "--character-sets-dir="+share+"/charsets",
			"--plugin-dir="+root+"/usr/lib/mysql/plugin")
		return s.debrun("usr/sbin/mariadbd", append(args, s.args...)...)
	default:
		share := filepath.Join(root, "usr/share/mysql")
		args = append(args, "--basedir="+root+"/usr", "--lc-messages-dir="+share, "--character-sets-dir="+share+"/charsets",
			"--plugin-dir="+root+"/usr/lib/mysql/plugin", "--mysqlx=OFF", "--secure-file-priv=", "--innodb-redo-log-capacity=256M")
		return s.debrun("usr/sbin/mysqld", append(args, s.args...)...)
	}
}

func (s *Server) mysql56(args []string) *exec.Cmd {
	server, err := filepath.EvalSymlinks(filepath.Join(s.base, "server"))
	if err != nil {
		server = filepath.Join(s.base, "server")
	}
	args = append(args, "--basedir="+server, "--lc-messages-dir="+server+"/share", "--character-sets-dir="+server+"/share/charsets",
		"--sql-mode=NO_ENGINE_SUBSTITUTION,STRICT_TRANS_TABLES")
	cmd := exec.Command(filepath.Join(server, "mysqld"), append(args, s.args...)...)
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+server)
	return cmd
}

// redis runs Debian's redis-check-rdb: the same binary, which looks at argv[0]
// to know what it is (the server's own package wants a system user).
func (s *Server) redis(port string) *exec.Cmd {
	name := "redis"
	if s.Kind == Valkey {
		name = "valkey"
	}
	args := []string{"--bind", "127.0.0.1", "--port", port, "--dir", s.dir, "--save", "", "--appendonly", "no"}
	program := name + "-server"
	if s.program != "" {
		program = s.program
		args = append([]string{s.conf()}, args...)
	}
	if s.program == "redis-sentinel" {
		args = []string{s.conf(), "--sentinel", "--bind", "127.0.0.1", "--port", port, "--dir", s.dir}
	}
	cmd := s.debrun("usr/bin/"+name+"-check-rdb", append(args, s.args...)...)
	cmd.Env = append(os.Environ(), "ARGV0="+program)
	if s.Kind == RedisUTF8 {
		cmd.Env = append(cmd.Env, "LOCPATH="+filepath.Join(s.base, "locale"), "LC_ALL=en_US.UTF-8", "LANG=en_US.UTF-8")
	}
	return cmd
}

func (s *Server) debrun(prog string, args ...string) *exec.Cmd {
	return exec.Command("bash", append([]string{script("debrun.sh"), filepath.Join(s.base, "root"), prog}, args...)...)
}

func username() string {
	out, err := exec.Command("id", "-un").Output()
	if err != nil || len(out) == 0 {
		return "root"
	}
	return string(out[:len(out)-1])
}
