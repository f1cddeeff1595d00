// early_answers URL KEY - Go's http.Client sends bodies to routes that refuse them by their heads, with and without a
// length; prints a JSON list of [expected status, status or error].
package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
)

type refused struct {
	status     int
	path, kind string
	key        bool
}

func ask(url, key string, one refused, body io.Reader) interface{} {
	request, err := http.NewRequest("POST", url+one.path, body)
	if err != nil {
		return err.Error()
	}
	request.Header.Set("Content-Type", one.kind)
	if one.key {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		return err.Error()
	}
	defer reply.Body.Close()
	var problem struct{ Error string }
	if err := json.NewDecoder(reply.Body).Decode(&problem); err != nil || problem.Error == "" {
		return "a reply without error"
	}
	return reply.StatusCode
}

func main() {
	basic := "/v1/dictionaries/basic"
	cases := []refused{
		{401, basic + "/reconstruct", "application/json", false},
		{404, "/nothing", "application/json", true},
		{405, basic, "application/json", true},
		{413, basic + "/reconstruct", "application/json", true},
		{415, basic + "/reconstruct", "text/csv", true},
	}
	seen := [][2]interface{}{}
	for _, size := range []int{300000, 3000000, 9000000, 50000000} {
		body := bytes.Repeat([]byte{' '}, size)
		for _, one := range cases {
			// A reader that Go does not know has no length, so it is sent in chunks.
			for _, reader := range []io.Reader{bytes.NewReader(body), struct{ io.Reader }{bytes.NewReader(body)}} {
				seen = append(seen, [2]interface{}{one.status, ask(os.Args[1], os.Args[2], one, reader)})
			}
		}
	}
	json.NewEncoder(os.Stdout).Encode(seen)
}
