// Command everything is a program of which the linker drops no exported method, because it calls one by a name that
// is known only when it runs.
package main

import (
	"fmt"
	"os"
	"reflect"

	"github.com/triggerhook/triggerhook"
)

func main() {
	s, err := triggerhook.New(nil, nil, triggerhook.Options{})
	fmt.Println(reflect.ValueOf(s).MethodByName(os.Args[len(os.Args)-1]), err)
}
