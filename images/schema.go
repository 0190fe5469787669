package images

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dlclark/regexp2/v2"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// schema checks the user's arguments of an image.
type schema struct {
	// doc is the schema as the manifest means it, shorthand expanded.
	doc      map[string]any
	compiled *jsonschema.Schema
}

// newSchema reads the "args" of a manifest: a JSON schema, or the shorthand
// for one.
func newSchema(args map[string]any) (*schema, error) {
	doc := expand(args)
	if kind, ok := doc["type"].(string); ok && kind != "object" {
		return nil, fmt.Errorf("it describes a value of type %q; arguments are an object: give it the type \"object\", or leave the type out and map each argument's name to its schema", kind)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft7)
	compiler.UseLoader(noLoader{})
	compiler.UseRegexpEngine(compilePattern)
	if err := compiler.AddResource(schemaURL, modern(doc, oldDraft(doc))); err != nil {
		return nil, err
	}
	compiled, err := compiler.Compile(schemaURL)
	if err != nil {
		return nil, err
	}
	return &schema{doc: doc, compiled: compiled}, nil
}

// tellSchema tells what keeps the value at n from being a schema.
func tellSchema(r *report, at string, n *node, err error) {
	var wrong *jsonschema.SchemaValidationError
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &wrong) || !errors.As(wrong.Err, &invalid) {
		r.add(n.offset, at, "is not a JSON schema: %s", strings.ReplaceAll(err.Error(), schemaURL, ""))
		return
	}
	found := map[string][]string{}
	offsets := map[string]int{}
	collect(invalid, func(leaf *jsonschema.ValidationError) {
		path, offset := locate(at, n, leaf.InstanceLocation)
		found[path], offsets[path] = append(found[path], localized(leaf)), offset
	})
	for _, path := range slices.Sorted(maps.Keys(found)) {
		slices.Sort(found[path])
		r.add(offsets[path], path, "is not what a JSON schema has here: %s", strings.Join(found[path], "; or "))
	}
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
func locate(at string, n *node, location []string) (path string, offset int) {
	for _, name := range location {
		inner := n.child(name)
		switch {
		case inner != nil:
			at, n = pointer(at, name), inner
		case name != "properties":
			return at, n.offset
		}
	}
	return at, n.offset
}

// schemaURL stands for the schema inside the compiler and is never fetched.
const schemaURL = "manifest:args"

// noLoader keeps a schema from reading files or the network by its "$ref".
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("the schema refers to %s: only references within the manifest are allowed", url)
}

// expand undoes the shorthand: a map of property to schema in place of an
// object schema, at the top and for each property.
func expand(doc map[string]any) map[string]any {
	if isShorthand(doc) {
		doc = map[string]any{"type": "object", "properties": doc}
	}
	properties, ok := doc["properties"].(map[string]any)
	if !ok {
		return doc
	}
	expanded := make(map[string]any, len(properties))
	for name, property := range properties {
		if object, ok := property.(map[string]any); ok {
			property = expand(object)
		}
		expanded[name] = property
	}
	doc = maps.Clone(doc)
	doc["properties"] = expanded
	return doc
}

// isShorthand says whether an object maps property names to schemas: it
// gives no type of its own and holds nothing but objects. An argument may be
// named "type" or "properties".
func isShorthand(doc map[string]any) bool {
	if len(doc) == 0 {
		return false
	}
	for _, value := range doc {
		if _, ok := value.(map[string]any); !ok {
			return false
		}
	}
	properties, ok := doc["properties"].(map[string]any)
	if !ok {
		return true
	}
	_, isSchema := properties["type"].(string)
	return isSchema
}

// matchTimeout bounds one match of a pattern that a manifest brings.
const matchTimeout = time.Second

// pattern is a regular expression in the syntax of JavaScript.
type pattern struct{ re *regexp2.Regexp }

func compilePattern(text string) (jsonschema.Regexp, error) {
	re, err := regexp2.Compile(text, regexp2.ECMAScript)
	if err != nil {
		return nil, err
	}
	re.MatchTimeout = matchTimeout
	return pattern{re}, nil
}

func (p pattern) String() string { return p.re.String() }

func (p pattern) MatchString(s string) bool {
	ok, err := p.re.MatchString(s)
	return ok && err == nil
}

// check tells each value of args that the schema refuses.
func (s *schema) check(r *report, args map[string]any) {
	err := s.compiled.Validate(args)
	var invalid *jsonschema.ValidationError
	switch {
	case err == nil:
	case errors.As(err, &invalid):
		s.tell(r, invalid)
		slices.SortFunc(r.problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	default:
		r.add(0, "/args", "%v", err)
	}
}

// tell walks down to the causes that have no further cause.
func (s *schema) tell(r *report, e *jsonschema.ValidationError) {
	_, anyOf := e.ErrorKind.(*kind.AnyOf)
	if oneOf, ok := e.ErrorKind.(*kind.OneOf); ok {
		anyOf = len(oneOf.Subschemas) == 0
	}
	path := argPath(e.InstanceLocation)
	switch {
	case anyOf:
		r.add(0, path, "fits none of the forms that are allowed: %s", strings.Join(leaves(e), "; or "))
	case len(e.Causes) > 0:
		for _, cause := range e.Causes {
			s.tell(r, cause)
		}
	default:
		s.tellLeaf(r, path, e)
	}
}

func (s *schema) tellLeaf(r *report, path string, e *jsonschema.ValidationError) {
	missing, ok := e.ErrorKind.(*kind.Required)
	if !ok {
		r.add(0, path, "%s", localized(e))
		return
	}
	for _, name := range slices.Sorted(slices.Values(missing.Missing)) {
		r.add(0, pointer(path, name), "is missing%s", s.describe(append(slices.Clone(e.InstanceLocation), name)))
	}
}

// describe tells what the manifest says of an argument, for the person who
// has to give it.
func (s *schema) describe(location []string) string {
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

func argPath(location []string) string {
	path := "/args"
	for _, name := range location {
		path = pointer(path, name)
	}
	return path
}

func leaves(e *jsonschema.ValidationError) []string {
	var all []string
	collect(e, func(leaf *jsonschema.ValidationError) { all = append(all, localized(leaf)) })
	slices.Sort(all)
	return all
}

// localized says what is wrong with a value without the value: it may be a
// password, and the sentence goes into logs and onto screens.
func localized(e *jsonschema.ValidationError) string {
	switch k := e.ErrorKind.(type) {
	case *kind.Pattern:
		return "does not match the pattern " + k.Want
	case *kind.Format:
		if k.Want != "regex" { // that is a manifest's own text
			return "is no valid " + k.Want
		}
	}
	return e.ErrorKind.LocalizedString(message.NewPrinter(language.English))
}

// fill adds to object the default of each property that it lacks, and goes
// on into the objects that it has.
func fill(doc, object map[string]any) {
	properties, _ := doc["properties"].(map[string]any)
	for name, property := range properties {
		about, ok := property.(map[string]any)
		if !ok {
			continue
		}
		if value, ok := about["default"]; ok {
			if _, given := object[name]; !given {
				object[name] = clone(value)
			}
		}
		if inner, ok := object[name].(map[string]any); ok {
			fill(about, inner)
		}
	}
}

// clone copies a JSON value, so that no two configurations share one.
func clone(value any) any {
	switch v := value.(type) {
	case map[string]any:
		object := make(map[string]any, len(v))
		for name := range v {
			object[name] = clone(v[name])
		}
		return object
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = clone(v[i])
		}
		return list
	}
	return value
}

// Complete checks a configuration against the manifest and returns it with
// the defaults filled in. A configuration without "dns" or "ip" gets empty
// ones. The error joins a [Problem] for each value that is wrong.
func (m *Manifest) Complete(c Config) (Config, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return Config{}, fmt.Errorf("read the configuration for %s: %w", m.file, err)
	}
	c, err = ParseConfig("config for "+m.title(), text)
	if err != nil {
		return Config{}, err
	}
	c.Args, c.DNS, c.IP = orEmpty(c.Args), orEmpty(c.DNS), orEmpty(c.IP)
	for list, part := range map[string]map[string]any{"nameservers": c.DNS, "interfaces": c.IP} {
		if _, ok := part[list]; !ok {
			part[list] = []any{}
		}
	}
	fill(m.schema.doc, c.Args)
	r := &report{file: "config for " + m.title()}
	m.schema.check(r, c.Args)
	if err := r.err(); err != nil {
		return Config{}, err
	}
	return c, nil
}

func orEmpty(object map[string]any) map[string]any {
	if object == nil {
		return map[string]any{}
	}
	return object
}
