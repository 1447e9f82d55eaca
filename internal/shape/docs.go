package main

import (
	"go/ast"
	"go/token"
	"strings"
)

// documented looks for exported names without a comment.
func (m *module) documented(r *report) {
	names, bare := 0, 0
	for _, p := range m.pkgs {
		all := p.methods()
		if !p.program() {
			all = append(all, p.exported()...)
		}
		for _, n := range all {
			names++
			if !n.documented {
				bare++
				r.breaks(m.place(n.node), "undocumented", "%s has no doc comment", n.full)
			}
		}
	}
	r.figure("exported names, fields included: %d, without a doc comment: %d", names, bare)
}

// name is one exported name of a package.
type name struct {
	node       ast.Node
	full       string // as in Scheduler.Create
	documented bool
}

// exported lists what p exports: functions, types, methods, constants, variables, fields.
func (p *pkg) exported() (all []name) {
	for _, s := range p.files {
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if full, is := exportedFunc(d); is {
					all = append(all, name{d, full, has(d.Doc)})
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					all = append(all, fromSpec(d, spec)...)
				}
			}
		}
	}
	return all
}

// methods lists the methods with exported names of types that are not exported: other code calls
// them through an interface.
func (p *pkg) methods() (all []name) {
	for _, s := range p.files {
		for _, d := range s.file.Decls {
			if d, is := d.(*ast.FuncDecl); is && d.Name.IsExported() && receiver(d) != "" && !ast.IsExported(receiver(d)) {
				all = append(all, name{d, receiver(d) + "." + d.Name.Name, has(d.Doc)})
			}
		}
	}
	return all
}

// exportedFunc returns the name of a function, or T.M of a method of an exported type, and
// whether it is exported.
func exportedFunc(d *ast.FuncDecl) (string, bool) {
	t := receiver(d)
	if t == "" {
		return d.Name.Name, d.Name.IsExported()
	}
	return t + "." + d.Name.Name, d.Name.IsExported() && ast.IsExported(t)
}

// receiver returns the type of a method's receiver, "" for a function.
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return ""
	}
	return base(d.Recv.List[0].Type)
}

// base returns the name of the type that an expression like *T or T[P] is made of.
func base(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return base(e.X)
	case *ast.IndexExpr:
		return base(e.X)
	case *ast.IndexListExpr:
		return base(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// fromSpec lists what one spec of a declaration exports. A comment of its group is enough for
// constants and variables, and for a type that stands alone.
func fromSpec(d *ast.GenDecl, spec ast.Spec) (all []name) {
	switch spec := spec.(type) {
	case *ast.ValueSpec:
		for _, id := range spec.Names {
			if id.IsExported() {
				all = append(all, name{id, id.Name, has(spec.Doc, spec.Comment, d.Doc)})
			}
		}
	case *ast.TypeSpec:
		if !spec.Name.IsExported() {
			return nil
		}
		doc := has(spec.Doc, spec.Comment) || d.Lparen == token.NoPos && has(d.Doc)
		all = append(all, name{spec, spec.Name.Name, doc})
		all = append(all, members(spec)...)
	}
	return all
}

// members lists the exported fields of a struct, or methods of an interface. What is embedded
// is documented where it is declared.
func members(t *ast.TypeSpec) (all []name) {
	var list *ast.FieldList
	switch of := t.Type.(type) {
	case *ast.StructType:
		list = of.Fields
	case *ast.InterfaceType:
		list = of.Methods
	default:
		return nil
	}
	for _, f := range list.List {
		for _, id := range f.Names {
			if id.IsExported() {
				all = append(all, name{id, t.Name.Name + "." + id.Name, has(f.Doc, f.Comment)})
			}
		}
	}
	return all
}

// has reports whether one of comments says something.
func has(comments ...*ast.CommentGroup) bool {
	for _, c := range comments {
		if strings.TrimSpace(c.Text()) != "" {
			return true
		}
	}
	return false
}

// rootNames counts what the root exports besides its errors.
func (m *module) rootNames(r *report) {
	root := m.pkgs[""]
	if root == nil {
		return
	}
	n := 0
	for _, e := range root.exported() {
		if !strings.Contains(e.full, ".") && !strings.HasPrefix(e.full, "Err") {
			n++
		}
	}
	r.figure("names that the root exports besides its errors: %d (at most %d)", n, mostNames)
	if n > mostNames {
		r.breaks("the root", "many-names", "%d exported names, at most %d are allowed", n, mostNames)
	}
}
