package ejs

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/dop251/goja"
	"github.com/dop251/goja/parser"

	"cloudlets/images/lazyregexp"
)

// program is a template that was compiled to JavaScript. It never changes, and
// many runtimes can run it at the same time.
type program struct {
	name string
	js   *goja.Program
	// prototypes is the first line of code that may access a prototype, or 0.
	prototypes int
	// texts are the parts of the template that are printed unchanged. They are
	// bytes and need not be UTF-8.
	texts [][]byte
	// lines maps each line of the JavaScript, counted from 0, to its line in
	// the template.
	lines []int
	// textLines is the set of lines of the JavaScript, counted from 0, that
	// print a text.
	textLines map[int]bool
	// prints are the expressions of the <%= tags; errors name them.
	prints []string
}

// The functions that compiled templates call.
const (
	textFunc  = "__ejs_text"
	printFunc = "__ejs_print"
)

// compiler compiles one template to JavaScript.
type compiler struct {
	prog *program
	js   strings.Builder
	rest []byte // what is left of the template
	line int    // the template's line at rest
}

// compile compiles a template. Its errors are of type [*Error].
func compile(name string, template []byte) (*program, error) {
	c := &compiler{prog: &program{name: name, lines: []int{1}, textLines: map[int]bool{}}, rest: bytes.TrimPrefix(template, []byte("\xef\xbb\xbf")), line: 1}
	if len(template) > maxTemplate {
		return nil, c.fail(0, "is %d bytes long, which is more than the %d allowed", len(template), maxTemplate)
	}
	for len(c.rest) > 0 {
		c.text()
		if len(c.rest) == 0 {
			break
		}
		if err := c.tag(); err != nil {
			return nil, err
		}
	}
	ast, err := parser.ParseFile(nil, name, c.js.String(), 0, parser.WithDisableSourceMaps)
	if err != nil {
		return nil, c.syntax(err)
	}
	c.prog.js, err = goja.CompileAST(ast, false)
	if err != nil {
		return nil, c.syntax(err)
	}
	return c.prog, nil
}

func (c *compiler) fail(line int, format string, args ...any) error {
	return &Error{Template: c.prog.name, Line: line, Reason: fmt.Sprintf(format, args...)}
}

// syntax converts an error of the JavaScript to an error of the template.
func (c *compiler) syntax(err error) error {
	var list parser.ErrorList
	var compile *goja.CompilerSyntaxError
	switch {
	case errors.As(err, &list) && len(list) > 0:
		return c.fail(c.prog.templateLine(list[0].Position.Line), "%s", explain(list[0].Message))
	case errors.As(err, &compile) && compile.File != nil:
		return c.fail(c.prog.templateLine(compile.File.Position(compile.Offset).Line), "%s", compile.Message)
	}
	return c.fail(0, "%v", err)
}

// explain replaces messages of the parser that do not help.
func explain(message string) string {
	if message == "Unexpected end of input" {
		return "the template ends within a block or a bracket that is still open"
	}
	return message
}

// templateLine converts a line of the JavaScript, counted from 1, to a line of
// the template.
func (p *program) templateLine(line int) int {
	if line < 1 {
		return 0
	}
	return p.lines[min(line, len(p.lines))-1]
}

// busyLine is templateLine for a program that was interrupted. The jump of a
// loop has no line of its own; the engine reports the line before it. A line
// that only prints a text cannot be the busy one, so the line after it is
// meant.
func (p *program) busyLine(line int) int {
	for p.textLines[line-1] {
		line++
	}
	return p.templateLine(line)
}

// prototypes matches code that may access what all values of a type share.
var prototypes = lazyregexp.New(`(?i)proto|constructor`)

// emit writes one line of generated JavaScript.
func (c *compiler) emit(line int, js string) {
	c.prog.lines[len(c.prog.lines)-1] = line
	c.js.WriteString(js)
	c.js.WriteByte('\n')
	c.prog.lines = append(c.prog.lines, line)
}

// code writes JavaScript of the template that begins at the given line of it.
func (c *compiler) code(line int, js string) {
	for part := range strings.SplitSeq(js, "\n") {
		if c.prog.prototypes == 0 && prototypes().MatchString(part) {
			c.prog.prototypes = line
		}
		c.emit(line, part)
		line++
	}
}

// text consumes the text before the next tag and generates code that prints it.
func (c *compiler) text() {
	var out []byte
	line := c.line
	for len(c.rest) > 0 {
		i := bytes.IndexByte(c.rest, '%')
		if i < 0 {
			out, c.rest = append(out, c.rest...), nil
			break
		}
		switch {
		case bytes.HasPrefix(c.rest[i:], []byte("%%>")):
			out, c.rest = append(append(out, c.rest[:i]...), "%>"...), c.rest[i+3:]
		case i > 0 && c.rest[i-1] == '<' && bytes.HasPrefix(c.rest[i:], []byte("%%")):
			out, c.rest = append(append(out, c.rest[:i]...), '%'), c.rest[i+2:]
		case i > 0 && c.rest[i-1] == '<':
			out = append(out, c.rest[:i-1]...)
			if bytes.HasPrefix(c.rest[i:], []byte("%_")) {
				out = bytes.TrimRight(out, " \t")
			}
			c.print(line, out)
			c.rest = c.rest[i-1:]
			return
		default:
			out, c.rest = append(out, c.rest[:i+1]...), c.rest[i+1:]
		}
	}
	c.print(line, out)
}

func (c *compiler) print(line int, text []byte) {
	c.line += bytes.Count(text, []byte("\n"))
	if len(text) == 0 {
		return
	}
	c.prog.textLines[len(c.prog.lines)-1] = true
	c.emit(line, fmt.Sprintf("%s(%d);", textFunc, len(c.prog.texts)))
	c.prog.texts = append(c.prog.texts, text)
}

// tag consumes the tag at the beginning of rest.
func (c *compiler) tag() error {
	opened := c.line
	body, next, ok := closing(c.rest[2:])
	if !ok {
		return c.fail(opened, "<%% is never closed: add the missing %%>")
	}
	c.rest = next
	c.line += bytes.Count(body, []byte("\n"))
	body = bytes.TrimPrefix(body, []byte("_"))
	switch {
	case bytes.HasSuffix(body, []byte("_")):
		c.rest = bytes.TrimLeft(c.rest, " \t")
		fallthrough
	case bytes.HasSuffix(body, []byte("-")):
		body = body[:len(body)-1]
		c.eatNewline()
	}
	if bytes.HasPrefix(body, []byte("#")) {
		return nil
	}
	if !utf8.Valid(body) {
		return c.fail(opened, "the tag holds bytes that are not UTF-8")
	}
	js := strings.ReplaceAll(strings.ReplaceAll(string(body), "%%>", "%>"), "\r\n", "\n")
	switch {
	case strings.HasPrefix(js, "="):
		return c.expression(opened, js[1:])
	case strings.HasPrefix(js, "-"):
		return c.fail(opened, "<%%- is not EmbeddedJS: <%%= prints without escaping")
	}
	c.code(opened, js)
	return nil
}

// closing finds the %> that ends a tag. It skips %%>.
func closing(rest []byte) (body, next []byte, ok bool) {
	from := 0
	for {
		i := bytes.Index(rest[from:], []byte("%>"))
		if i < 0 {
			return nil, nil, false
		}
		if i += from; i > 0 && rest[i-1] == '%' {
			from = i + 2
			continue
		}
		return rest[:i], rest[i+2:], true
	}
}

// eatNewline drops the newline after the tag.
func (c *compiler) eatNewline() {
	c.rest = bytes.TrimPrefix(c.rest, []byte("\r"))
	if bytes.HasPrefix(c.rest, []byte("\n")) {
		c.rest = c.rest[1:]
		c.line++
	}
}

// member matches an expression that reads a property by its name. For these an
// error can list the properties that exist.
var member = lazyregexp.New(`^([A-Za-z_$][\w$]*(?:\.[A-Za-z_$][\w$]*|\[\d+\])*)\.[A-Za-z_$][\w$]*$`)

// expression generates code that prints the value of a JavaScript expression.
func (c *compiler) expression(line int, js string) error {
	if code := strings.TrimRight(js, " \t\r\n"); strings.HasSuffix(code, ";") {
		js = code[:len(code)-1]
	}
	name := strings.TrimSpace(js)
	if name == "" {
		return c.fail(line, "<%%= prints nothing: an expression is missing")
	}
	owner := ""
	if m := member().FindStringSubmatch(name); m != nil {
		owner = ", function () { return " + m[1] + "; }"
	}
	c.emit(line, fmt.Sprintf("%s(%d, (", printFunc, len(c.prog.prints)))
	c.code(line, js)
	c.emit(c.line, ")"+owner+");")
	c.prog.prints = append(c.prog.prints, name)
	return nil
}
