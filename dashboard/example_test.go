package dashboard_test

import (
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/dashboard"
	"github.com/triggerhook/triggerhook/durable/bolt"
	"github.com/triggerhook/triggerhook/hotset/local"
)

// A dashboard beside the other pages of a program, that operators may use to change tasks.
func ExampleNew() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := bolt.Open(filepath.Join(dir, "tasks.bolt"), bolt.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	set, err := local.New(local.Options{})
	if err != nil {
		log.Fatal(err)
	}
	s, err := triggerhook.New(store, set, triggerhook.Options{})
	if err != nil {
		log.Fatal(err)
	}

	pages, err := dashboard.New(s, dashboard.Options{
		Title:   "Reminders",
		Operate: true,
		Authorize: func(r *http.Request) error { // what your own login has found out about the user
			if user, _, _ := r.BasicAuth(); user != "operator" {
				return errors.New("only operators change tasks")
			}
			return nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/tasks-admin/", pages) // behind your own login

	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequest("POST", "/tasks-admin/delete", nil))
	fmt.Println(answer.Code, http.StatusText(answer.Code))
	// Output: 403 Forbidden
}
