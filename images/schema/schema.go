// Package schema reads JSON schemas and applies them in two ways. A [Schema] is
// a manifest's schema for the arguments of its image. Anybody may have written
// it, so the cost of reading and checking is bounded. A [Structure] is a schema
// that is part of this program, for a whole kind of document.
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

// Schema says what the arguments of an image may be. It may be used by several
// goroutines at once.
type Schema struct {
	// doc is the manifest's schema with its shorthand expanded.
	doc map[string]any
	// modern is the same in draft 2020-12.
	modern   map[string]any
	compiled *jsonschema.Schema
	budget   *budget
}

// New reads the "args" of a manifest: a JSON schema of any draft, or the
// shorthand for one, which maps each argument's name to its schema. [Explain]
// turns an error into problems for the person who wrote the "args".
func New(args map[string]any) (*Schema, error) {
	d, err := draftOf(args)
	if err != nil {
		return nil, err
	}
	doc := expand(args)
	if d == unnamed {
		if err := checkNested(doc); err != nil {
			return nil, err
		}
	}
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

// maxSchemas limits the number of schemas in the "args", because the library
// takes time proportional to the square of that number.
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

// schemaURL identifies the schema in the compiler. It is never fetched.
const schemaURL = "manifest://args/"

// noLoader prevents a "$ref" from reading a file or the network.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("the schema refers to %s: only references within the manifest are allowed", url)
}

// Explain returns the problems with the schema at a node for which [New]
// returned an error.
func Explain(n *jsontext.Node, err error) (problems jsontext.Problems) {
	var wrong *jsonschema.SchemaValidationError
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &wrong) || !errors.As(wrong.Err, &invalid) {
		problems.Add(n.Place(), "is not a JSON schema: %s", strings.ReplaceAll(err.Error(), schemaURL, ""))
		return problems
	}
	reasons := map[*jsontext.Node][]string{}
	eachCause(invalid, func(cause *jsonschema.ValidationError) {
		at := written(n, cause.InstanceLocation)
		reasons[at] = append(reasons[at], schemaReason(cause))
	})
	for at, found := range reasons {
		slices.Sort(found)
		problems.Add(at.Place(), "is not what a JSON schema has here: %s", strings.Join(slices.Compact(found), "; or "))
	}
	return problems
}

// schemaReason says what is wrong with a part of a schema. Unlike [reason], it
// may quote that part, because a schema is not secret.
func schemaReason(e *jsonschema.ValidationError) string {
	if k, ok := e.ErrorKind.(*kind.Format); ok && k.Want == "regex" {
		return fmt.Sprintf("it has to be a regular expression: %v", k.Err)
	}
	return reason(e)
}

// eachCause calls use for each cause that has no further cause.
func eachCause(e *jsonschema.ValidationError, use func(*jsonschema.ValidationError)) {
	if len(e.Causes) == 0 {
		use(e)
	}
	for _, cause := range e.Causes {
		eachCause(cause, use)
	}
}

// written returns the node of the manifest that corresponds to a location in
// the expanded schema. It passes over a "properties" that the shorthand leaves
// out. If nothing else corresponds, it returns the innermost node that does.
func written(n *jsontext.Node, location []string) *jsontext.Node {
	for _, name := range location {
		inner := n.Child(name)
		switch {
		case inner != nil:
			n = inner
		case name != "properties":
			return n
		}
	}
	return n
}

// Check returns a problem for each value of args that the schema does not
// allow. Locate returns the place of a value, given the names and indexes that
// lead to it from the arguments. Without names it returns the place of the
// arguments themselves.
func (s *Schema) Check(args map[string]any, locate func(names ...string) jsontext.Place) jsontext.Problems {
	c := check{schema: s, locate: locate}
	err := s.budget.run(func() error { return s.compiled.Validate(args) })
	var invalid *jsonschema.ValidationError
	switch {
	case err == nil:
	case errors.As(err, &invalid):
		c.tell(invalid)
	default:
		c.problems.Add(locate(), "%v", err)
	}
	return c.problems
}

// check turns the library's errors into problems.
type check struct {
	schema   *Schema
	locate   func(names ...string) jsontext.Place
	problems jsontext.Problems
}

// tell adds a problem for each cause that has no further cause. It adds a
// single problem for a wrong property name, or for a value that fits none of
// several alternatives.
func (c *check) tell(e *jsonschema.ValidationError) {
	if names, ok := e.ErrorKind.(*kind.PropertyNames); ok { // the library does not say where
		c.problems.Add(c.locate(), "has within it the name %q, which is not one of those allowed: %s", names.Property, strings.Join(reasons(e), "; "))
		return
	}
	_, anyOf := e.ErrorKind.(*kind.AnyOf)
	if oneOf, ok := e.ErrorKind.(*kind.OneOf); ok {
		anyOf = len(oneOf.Subschemas) == 0
	}
	switch {
	case anyOf:
		c.problems.Add(c.locate(e.InstanceLocation...), "fits none of the forms that are allowed: %s", strings.Join(reasons(e), "; or "))
	case len(e.Causes) > 0:
		for _, cause := range e.Causes {
			c.tell(cause)
		}
	default:
		c.tellCause(e)
	}
}

func (c *check) tellCause(e *jsonschema.ValidationError) {
	at := c.locate(e.InstanceLocation...)
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		for _, name := range k.Missing {
			c.problems.Add(at.Below(name), "is missing%s", c.schema.describe(append(slices.Clone(e.InstanceLocation), name)))
		}
	case *kind.AdditionalProperties:
		known := described(c.schema.at(e.InstanceLocation))
		for _, name := range k.Properties {
			c.problems.Add(c.locate(append(slices.Clone(e.InstanceLocation), name)...), "is not allowed by the manifest%s", jsontext.DidYouMean(name, known))
		}
	default:
		c.problems.Add(at, "%s", reason(e))
	}
}

// describe says for the person who has to give an argument that the manifest
// requires it, with the argument's type and description.
func (s *Schema) describe(location []string) string {
	doc := s.at(location)
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

// reasons returns the sorted reasons of all causes that have no further cause,
// without duplicates.
func reasons(e *jsonschema.ValidationError) []string {
	var all []string
	eachCause(e, func(cause *jsonschema.ValidationError) { all = append(all, reason(cause)) })
	slices.Sort(all)
	return slices.Compact(all)
}

// reason says what is wrong with a value. It does not quote a string, because
// that may be a password and the reason goes into logs and onto screens.
func reason(e *jsonschema.ValidationError) string {
	switch k := e.ErrorKind.(type) {
	case *kind.Pattern:
		return "does not match the pattern " + k.Want
	case *kind.RefCycle:
		return "cannot be checked: the schema in the manifest refers to itself without end"
	case *kind.Format:
		return "is not a valid " + k.Want
	}
	return e.ErrorKind.LocalizedString(message.NewPrinter(language.English))
}
