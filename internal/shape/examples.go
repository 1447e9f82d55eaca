package main

import (
	"go/ast"
	"go/doc"
	"go/token"
	"maps"
	"slices"
	"strings"
)

// demanded are the packages in which each exported name has an Example.
var demanded = map[string]bool{"": true, "durable": true, "hotset": true, "consumer": true, "metrics": true, "middleware": true,
	"typed": true, "seal": true, "hook": true, "retrypolicy": true}

// standard are methods that the standard library calls.
var standard = map[string]bool{"Error": true, "Is": true, "Unwrap": true, "String": true, "MarshalText": true, "UnmarshalText": true}

// outputs looks for Examples that do not run, and for those that pkg.go.dev cannot show as a whole program.
func (m *module) outputs(r *report) {
	total, silent := 0, 0
	for _, p := range m.pkgs {
		for _, s := range p.tests {
			for _, e := range doc.Examples(s.file) {
				total++
				if e.Play == nil && demanded[p.dir] {
					r.breaks(s.path, "no-program", "Example%s is no whole program: it uses what another file declares", e.Name)
				}
				if e.Output == "" && !e.EmptyOutput {
					silent++
					r.breaks(s.path, "no-output", "Example%s has no Output comment, so it does not run", e.Name)
				}
			}
		}
	}
	r.figure("Examples: %d, without an Output: %d", total, silent)
}

// exampled looks for exported names without an Example.
func (m *module) exampled(r *report) {
	aliased := m.aliased()
	missing := 0
	for _, dir := range slices.Sorted(maps.Keys(m.pkgs)) {
		p := m.pkgs[dir]
		if !p.public() || strings.HasPrefix(dir, "bench") || strings.HasPrefix(dir, "examples/") {
			continue
		}
		for _, n := range p.lacking(aliased[dir]) {
			if demanded[dir] {
				missing++
				r.breaks(m.place(n.node), "no-example", "%s of %s has no Example", n.full, p.label())
			} else {
				r.listed = append(r.listed, dir+"."+n.full)
			}
		}
	}
	r.figure("exported names without an Example, in the packages where each has one: %d", missing)
}

// examples returns what p's Examples are of, as T.M, T or F. A suffix that begins with a small
// letter names one of several Examples.
func (p *pkg) examples() map[string]bool {
	of := map[string]bool{}
	for _, s := range p.tests {
		for _, e := range doc.Examples(s.file) {
			parts := strings.Split(e.Name, "_")
			if last := parts[len(parts)-1]; len(parts) > 1 && !ast.IsExported(last) {
				parts = parts[:len(parts)-1]
			}
			of[strings.Join(parts, ".")] = true
		}
	}
	return of
}

// aliased returns, by folder, what the Examples of another package's aliases are of.
func (m *module) aliased() map[string]map[string]bool {
	all := map[string]map[string]bool{}
	for _, p := range m.pkgs {
		examples := p.examples()
		for alias, to := range p.aliases() {
			for e := range examples {
				if own, _, _ := strings.Cut(e, "."); own == alias {
					if all[to.dir] == nil {
						all[to.dir] = map[string]bool{}
					}
					all[to.dir][to.name+strings.TrimPrefix(e, own)] = true
				}
			}
		}
	}
	return all
}

// target is a name in another package's folder.
type target struct{ dir, name string }

// aliases returns the exported types of p that stand for a type of another package of the
// module, which is found by the last element of its folder.
func (p *pkg) aliases() map[string]target {
	all := map[string]target{}
	for _, s := range p.files {
		for _, t := range types(s.file) {
			sel, is := t.Type.(*ast.SelectorExpr)
			if from, ident := nameOf(sel, is); t.Assign.IsValid() && is && ident {
				all[t.Name.Name] = target{from, sel.Sel.Name}
			}
		}
	}
	return all
}

func nameOf(sel *ast.SelectorExpr, is bool) (string, bool) {
	if !is {
		return "", false
	}
	id, ident := sel.X.(*ast.Ident)
	if !ident {
		return "", false
	}
	return id.Name, true
}

// types are the exported types that a file declares.
func types(f *ast.File) (all []*ast.TypeSpec) {
	for _, d := range f.Decls {
		g, is := d.(*ast.GenDecl)
		if !is || g.Tok != token.TYPE {
			continue
		}
		for _, spec := range g.Specs {
			if t := spec.(*ast.TypeSpec); t.Name.IsExported() {
				all = append(all, t)
			}
		}
	}
	return all
}

// lacking lists the functions, methods and types of p that have no Example.
func (p *pkg) lacking(more map[string]bool) (all []name) {
	examples := p.examples()
	maps.Copy(examples, more)
	shown := p.shown(examples)
	for _, s := range p.files {
		for _, d := range s.file.Decls {
			f, is := d.(*ast.FuncDecl)
			if !is {
				continue
			}
			full, exported := exportedFunc(f)
			if exported && !examples[full] && !exempt(f) {
				all = append(all, name{node: f, full: full})
			}
		}
		for _, t := range types(s.file) {
			if !shown[t.Name.Name] {
				all = append(all, name{node: t, full: t.Name.Name})
			}
		}
	}
	return all
}

// exempt reports whether a method needs no Example, because an interface demands it.
func exempt(f *ast.FuncDecl) bool {
	return f.Recv != nil && (standard[f.Name.Name] || strings.Contains(f.Doc.Text(), " implements "))
}

// shown returns the types of p that an Example shows: by its name, or because they stand in
// the signature of what has one, or in a field of such a type.
func (p *pkg) shown(examples map[string]bool) map[string]bool {
	shown := map[string]bool{}
	for e := range examples {
		own, _, _ := strings.Cut(e, ".")
		shown[own] = true
	}
	for _, s := range p.files {
		for _, d := range s.file.Decls {
			if f, is := d.(*ast.FuncDecl); is {
				if full, _ := exportedFunc(f); examples[full] {
					mention(f.Type, shown)
				}
			}
		}
	}
	for grown := -1; grown != len(shown); {
		grown = len(shown)
		for _, s := range p.files {
			for _, t := range types(s.file) {
				if shown[t.Name.Name] {
					mention(t.Type, shown)
				}
			}
		}
	}
	return shown
}

// mention adds all names of an expression that are exported.
func mention(e ast.Expr, to map[string]bool) {
	ast.Inspect(e, func(n ast.Node) bool {
		if id, is := n.(*ast.Ident); is && id.IsExported() {
			to[id.Name] = true
		}
		return true
	})
}
