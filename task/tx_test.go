package task_test

import (
	"database/sql"
	"testing"

	"github.com/triggerhook/triggerhook/task"
)

// A *sql.Tx is a Tx. A *sql.DB and a *sql.Conn are none, because each of their statements commits by itself.
func TestATxIsATransaction(t *testing.T) {
	for _, c := range []struct {
		value any
		is    bool
	}{{&sql.Tx{}, true}, {&sql.DB{}, false}, {&sql.Conn{}, false}} {
		if _, is := c.value.(task.Tx); is != c.is {
			t.Errorf("%T is a Tx: %v, want %v", c.value, is, c.is)
		}
	}
}
