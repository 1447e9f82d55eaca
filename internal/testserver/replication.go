package testserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// soon waits until ready reports true, which the servers of what come to by themselves.
func soon(ctx context.Context, what string, ready func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ready() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w", what, ctx.Err())
		}
	}
	return nil
}

// follows reports whether s is a replica of master, whose link is up.
func (s *Server) follows(master *Server) bool {
	info, err := s.ask("INFO replication")
	_, port, _ := net.SplitHostPort(master.Addr)
	return err == nil && strings.Contains(info, "\nmaster_port:"+port+"\r") && strings.Contains(info, "\nmaster_link_status:up\r")
}

// replica is one of nodes that follows node; nil if none does.
func replica(nodes []*Server, node *Server) *Server {
	for _, s := range nodes {
		if s != node && s.follows(node) {
			return s
		}
	}
	return nil
}

// field is what the line of an answer that begins with line has after name, up to a comma;
// the rest of the line if name is empty; nothing if there is no such line.
func (s *Server) field(command, line, name string) string {
	info, _ := s.ask(command)
	_, text, is := strings.Cut("\n"+info, "\n"+line)
	text, _, _ = strings.Cut(text, "\n")
	text = strings.TrimSuffix(text, "\r")
	if !is || name == "" {
		return text
	}
	_, text, _ = strings.Cut(","+text, ","+name)
	text, _, _ = strings.Cut(text, ",")
	return text
}

func addrs(servers []*Server) (all []string) {
	for _, s := range servers {
		all = append(all, s.Addr)
	}
	return all
}

func closeAll(servers []*Server) error {
	var errs []error
	for _, s := range servers {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}
