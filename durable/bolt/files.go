package bolt

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"

	"github.com/triggerhook/triggerhook/task"
)

// openFiles are the files that this process has open. The lock of a file does not say whether this
// process or another one has it, and where locks belong to processes it does not keep two Stores of
// one process apart.
var openFiles files

type files struct {
	mu  sync.Mutex
	all []os.FileInfo
}

// open opens a file, if this process does not have it open. It looks before it opens: where
// locks belong to processes, closing a second descriptor would end the lock of the first.
func (o *files) open(name string, flag int, mode os.FileMode) (*os.File, os.FileInfo, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if is, err := os.Stat(name); err == nil && slices.ContainsFunc(o.all, func(f os.FileInfo) bool { return os.SameFile(f, is) }) {
		return nil, nil, fmt.Errorf("%w: this process has it open already: open a file once, and share its Store", task.ErrInvalid)
	}
	f, err := os.OpenFile(name, flag, mode)
	if err != nil {
		return nil, nil, err
	}
	is, err := f.Stat()
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	o.all = append(o.all, is)
	return f, is, nil
}

// forget removes a file that open has returned from openFiles. It does nothing with nil.
func (o *files) forget(file os.FileInfo) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all = slices.DeleteFunc(o.all, func(f os.FileInfo) bool { return f == file })
}

// syncDir flushes the entries of a folder. It does nothing on Windows, which cannot.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
