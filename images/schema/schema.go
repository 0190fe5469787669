// Package schema checks values against the JSON schema of a manifest, and
// fills in what has a default.
package schema

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"cloudlets/images/jsontext"
)

// schema checks the user's arguments of an image.
type Schema struct {
	// doc is the schema as the manifest means it, shorthand expanded.
	doc map[string]any
	// modern is the same in draft 2020-12.
	modern   map[string]any
	compiled *jsonschema.Schema
	budget   *budget
}

// newSchema reads the "args" of a manifest: a JSON schema, or the shorthand
// for one.
func New(args map[string]any) (*Schema, error) {
	d, err := draftOf(args)
	if err != nil {
		return nil, err
	}
	doc := expand(args)
	s := &Schema{doc: doc, modern: d.modern(doc), budget: new(budget)}
	if n := countSchemas(s.modern); n > maxSchemas {
		return nil, fmt.Errorf("it consists of %d schemas, which is more than the %d allowed", n, maxSchemas)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	compiler.UseLoader(noLoader{})
	compiler.UseRegexpEngine(s.budget.compile)
	compiler.RegisterVocabulary(s.budget.vocabulary())
	compiler.AssertVocabs()
	if err := compiler.AddResource(schemaURL, s.modern); err != nil {
		return nil, err
	}
	if s.compiled, err = compiler.Compile(schemaURL); err != nil {
		return nil, err
	}
	return s, nil
}

// maxSchemas is how many schemas the arguments may consist of: the library
// takes time by the square of their number.
const maxSchemas = 5000

// countSchemas counts a schema and all those within it.
func countSchemas(doc map[string]any) int {
	n := 1
	eachSchema(maps.Clone(doc), func(inner map[string]any) map[string]any {
		n += countSchemas(inner)
		return inner
	})
	return n
}

// schemaURL stands for the schema inside the compiler and is never fetched.
const schemaURL = "manifest://args/"

// noLoader keeps a schema from reading files or the network by its "$ref".
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("the schema refers to %s: only references within the manifest are allowed", url)
}

// tellSchema tells what keeps the value at n from being a schema.
func Tell(r *jsontext.Report, at string, n *jsontext.Node, err error) {
	var wrong *jsonschema.SchemaValidationError
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &wrong) || !errors.As(wrong.Err, &invalid) {
		r.Add(n.Offset, at, "is not a JSON schema: %s", strings.ReplaceAll(err.Error(), schemaURL, ""))
		return
	}
	found := map[string][]string{}
	offsets := map[string]int{}
	collect(invalid, func(leaf *jsonschema.ValidationError) {
		path, offset := locate(at, n, leaf.InstanceLocation)
		found[path], offsets[path] = append(found[path], schemaReason(leaf)), offset
	})
	for _, path := range slices.Sorted(maps.Keys(found)) {
		slices.Sort(found[path])
		reasons := slices.Compact(found[path])
		r.Add(offsets[path], path, "is not what a JSON schema has here: %s", strings.Join(reasons, "; or "))
	}
}

// schemaReason says what is wrong with a part of a schema, which is no
// secret.
func schemaReason(e *jsonschema.ValidationError) string {
	if k, ok := e.ErrorKind.(*kind.Format); ok && k.Want == "regex" {
		return fmt.Sprintf("a regular expression, and this is none: %v", k.Err)
	}
	return localized(e)
}

// collect calls use for each cause that has no further cause.
func collect(e *jsonschema.ValidationError, use func(*jsonschema.ValidationError)) {
	if len(e.Causes) == 0 {
		use(e)
	}
	for _, cause := range e.Causes {
		collect(cause, use)
	}
}

// locate finds a place of the expanded schema in the text of the manifest,
// where the shorthand has no "properties".
func locate(at string, n *jsontext.Node, location []string) (path string, offset int) {
	for _, name := range location {
		inner := n.Child(name)
		switch {
		case inner != nil:
			at, n = jsontext.Pointer(at, name), inner
		case name != "properties":
			return at, n.Offset
		}
	}
	return at, n.Offset
}

// place is where the arguments stand: the path to them, and their text if
// there is one.
type Place struct {
	Path string
	Root *jsontext.Node
}

func (p Place) of(location []string) (path string, offset int) {
	path = p.Path
	for _, name := range location {
		path = jsontext.Pointer(path, name)
	}
	if p.Root == nil {
		return path, 0
	}
	_, n := p.Root.Find(location)
	return path, n.Offset
}

// check tells each value of args that the schema refuses.
func (s *Schema) Check(r *jsontext.Report, at Place, args map[string]any) {
	err := s.budget.run(func() error { return s.compiled.Validate(args) })
	var invalid *jsonschema.ValidationError
	switch {
	case err == nil:
	case errors.As(err, &invalid):
		s.tell(r, at, invalid)
	default:
		path, offset := at.of(nil)
		r.Add(offset, path, "%v", err)
	}
}

// tell walks down to the causes that have no further cause.
func (s *Schema) tell(r *jsontext.Report, at Place, e *jsonschema.ValidationError) {
	if names, ok := e.ErrorKind.(*kind.PropertyNames); ok { // the library does not know where
		path, offset := at.of(nil)
		r.Add(offset, path, "has within it the name %q, which is not one of those allowed: %s", names.Property, strings.Join(reasons(e), "; "))
		return
	}
	_, anyOf := e.ErrorKind.(*kind.AnyOf)
	if oneOf, ok := e.ErrorKind.(*kind.OneOf); ok {
		anyOf = len(oneOf.Subschemas) == 0
	}
	switch {
	case anyOf:
		path, offset := at.of(e.InstanceLocation)
		r.Add(offset, path, "fits none of the forms that are allowed: %s", strings.Join(reasons(e), "; or "))
	case len(e.Causes) > 0:
		for _, cause := range e.Causes {
			s.tell(r, at, cause)
		}
	default:
		s.tellLeaf(r, at, e)
	}
}

func (s *Schema) tellLeaf(r *jsontext.Report, at Place, e *jsonschema.ValidationError) {
	path, offset := at.of(e.InstanceLocation)
	missing, ok := e.ErrorKind.(*kind.Required)
	if !ok {
		r.Add(offset, path, "%s", localized(e))
		return
	}
	for _, name := range missing.Missing {
		r.Add(offset, jsontext.Pointer(path, name), "is missing%s", s.describe(append(slices.Clone(e.InstanceLocation), name)))
	}
}

// describe tells what the manifest says of an argument, for the person who
// has to give it.
func (s *Schema) describe(location []string) string {
	doc := s.doc
	for _, name := range location {
		properties, _ := doc["properties"].(map[string]any)
		doc, _ = properties[name].(map[string]any)
	}
	var about []string
	if t, ok := doc["type"].(string); ok {
		about = append(about, "type "+t)
	}
	if text, ok := doc["description"].(string); ok {
		about = append(about, text)
	}
	if about == nil {
		return "; the manifest requires it"
	}
	return "; the manifest requires it: " + strings.Join(about, ", ")
}

// reasons are those of all causes that have no further cause.
func reasons(e *jsonschema.ValidationError) []string {
	var all []string
	collect(e, func(leaf *jsonschema.ValidationError) { all = append(all, localized(leaf)) })
	slices.Sort(all)
	return slices.Compact(all)
}

// localized says what is wrong with a value without the value: it may be a
// password, and the sentence goes into logs and onto screens.
func localized(e *jsonschema.ValidationError) string {
	switch k := e.ErrorKind.(type) {
	case *kind.Pattern:
		return "does not match the pattern " + k.Want
	case *kind.RefCycle:
		return "cannot be checked: the schema in the manifest refers to itself without end"
	case *kind.Format:
		return "is no valid " + k.Want
	}
	return e.ErrorKind.LocalizedString(message.NewPrinter(language.English))
}
