package hotset

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook/task"
)

// typed adds the sentinel that tells what err is.
func (r *Redis) typed(act string, p int, err error) error {
	if kind := r.kindOf(err); kind != nil {
		err = fmt.Errorf("%w: %w", kind, err)
	}
	return fmt.Errorf("%s in partition %d: %w", act, p, err)
}

// kindOf is the kind of err. MOVED and ASK are refused unless the client is one of a
// cluster: any other client would never find a slot that is on another node.
func (r *Redis) kindOf(err error) error {
	if moved(err) && r.single {
		return fmt.Errorf("%w: the server is a node of a cluster, and the client is not one of clusters: use redis.NewClusterClient", task.ErrRefused)
	}
	return kindOf(err)
}

// kinds are the beginnings of errors that servers and scripts answer, by what they mean.
// Redis 6.2 words the errors of scripts in its own way (inScript), and errors about rights
// have no code before Redis 7.2.
var kinds = []struct {
	kind     error
	prefixes []string
}{
	{task.ErrTooLarge, []string{"OOM "}},
	{task.ErrReadOnly, []string{"READONLY ", "MISCONF "}},
	{task.ErrRefused, []string{"NOPERM ", "NOAUTH ", "WRONGPASS ", "DENIED ", "AUTH ", "CROSSSLOT ", "unknown command", "Unknown Redis command", "Unknown command",
		"This Redis command is not allowed", "This command is not allowed", "The user executing the script can't", "ACL failure in script", "invalid password", "invalid username-password",
		"Client sent AUTH", "user is disabled"}},
	{task.ErrUnavailable, []string{"LOADING ", "CLUSTERDOWN ", "MASTERDOWN ", "TRYAGAIN ", "MOVED ", "ASK ", "BUSY ", "NOREPLICAS ", "UNBLOCKED ", "NOSCRIPT ",
		"max number of clients", "Server is shutting down", "SHUTDOWN "}},
}

func kindOf(err error) error {
	for _, k := range kinds {
		for _, p := range k.prefixes {
			if redis.HasErrorPrefix(err, strings.TrimSpace(p)) || inScript(err, p) {
				return k.kind
			}
		}
	}
	if errors.Is(err, redis.ErrClosed) {
		return task.ErrClosed
	}
	var op net.Error
	if errors.As(err, &op) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrPoolExhausted) {
		return task.ErrUnavailable
	}
	return nil
}

// moved reports an answer that sends the client to another node of a cluster.
func moved(err error) bool {
	return redis.HasErrorPrefix(err, "MOVED") || redis.HasErrorPrefix(err, "ASK")
}

// inScript reports an error of a command inside a script as Redis 6.2 words it:
// ERR Error running script (call to f_...): @user_script:1: -OOM command not ...
// (a right that is missing has no code there, and no dash).
func inScript(err error, prefix string) bool {
	_, said, is := strings.Cut(err.Error(), "ERR Error running script")
	return is && (strings.Contains(said, ": -"+prefix) || strings.Contains(said, ": "+prefix))
}
