package hotset

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook/task"
)

// plain is the client of one server, or of the master that Sentinel names.
type plain = *redis.Client

// checkClient refuses a client that the hot set cannot work with.
func checkClient(rdb redis.UniversalClient) error {
	if v := reflect.ValueOf(rdb); rdb == nil || v.Kind() == reflect.Pointer && v.IsNil() {
		return fmt.Errorf("%w: redis client is nil", task.ErrInvalid)
	}
	var err error
	if holds[*redis.Ring](rdb) {
		err = fmt.Errorf("%w: redis client is a Ring, which moves a partition to another server when its own is away and back later: "+
			"tasks that were deleted meanwhile would fire; use a Cluster, Sentinel, or one server", task.ErrInvalid)
	}
	if c, is := find[*redis.ClusterClient](rdb); is {
		if o := c.Options(); o.ReadOnly || o.RouteByLatency || o.RouteRandomly {
			err = errors.Join(err, fmt.Errorf("%w: redis cluster client reads from replicas (ReadOnly %t, RouteByLatency %t, RouteRandomly %t), which lag behind; "+
				"use a client of its own without these", task.ErrInvalid, o.ReadOnly, o.RouteByLatency, o.RouteRandomly))
		}
	}
	return err
}

// nodes is about how many nodes of a cluster are called at once. Each node has connections
// of its own.
const nodes = 3

// connections returns how many connections a client has for calls at most, 0 if that cannot
// be seen. A hard limit holds for each node, and all calls may go to one node, so the limit
// of one node is taken for all calls together.
func connections(rdb redis.UniversalClient) int {
	if c, is := find[plain](rdb); is {
		return least(c.Options().PoolSize, c.Options().MaxActiveConns)
	}
	if c, is := find[*redis.ClusterClient](rdb); is {
		return least(nodes*c.Options().PoolSize, c.Options().MaxActiveConns)
	}
	return 0
}

// least returns the lesser of two limits; a limit of 0 means none.
func least(a, b int) int {
	if a <= 0 || b > 0 && b < a {
		return max(0, b)
	}
	return a
}

// wrapped is how many levels deep holds and find look for a client inside its wrappers.
const wrapped = 5

// holds reports whether v is a C, or a pointer to one that wraps it in a field.
func holds[C any](v any) bool {
	_, is := look(reflect.ValueOf(v), reflect.TypeFor[C](), wrapped)
	return is
}

// find returns the C that v is, or wraps in a field that may be read.
func find[C any](v any) (c C, is bool) {
	got, is := look(reflect.ValueOf(v), reflect.TypeFor[C](), wrapped)
	if !is || !got.CanInterface() || got.Kind() == reflect.Pointer && got.IsNil() {
		return c, false
	}
	c, is = got.Interface().(C)
	return c, is
}

// look looks for a value of type t in v, in what it points to, and in its fields. It does
// not look into go-redis itself, whose clients have clients of their own.
func look(v reflect.Value, t reflect.Type, depth int) (reflect.Value, bool) {
	for v.IsValid() && v.Type() != t && (v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer) {
		v = v.Elem()
	}
	if !v.IsValid() {
		return v, false
	}
	if v.Type() == t {
		return v, true
	}
	if depth == 0 || v.Kind() != reflect.Struct || v.Type().PkgPath() == reflect.TypeFor[redis.Client]().PkgPath() {
		return reflect.Value{}, false
	}
	for i := range v.NumField() {
		if got, is := look(v.Field(i), t, depth-1); is {
			return got, true
		}
	}
	return reflect.Value{}, false
}
