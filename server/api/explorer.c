/* The modules and the style of the explorer, the page at /: files of server/web/explorer/, which the build puts into the
 * program. They are plain ES modules, so each file is one that the browser asks for.
 *
 * To add one: the file, and a row in the list below.
 */
#include "api/document.h"

#include <string.h>

/* the name in the path, the file as the Makefile names it */
#define SCRIPT_LIST(X)                                                                                       \
    X("arrays.js", arrays_js)                                                                                \
    X("ask.js", ask_js)                                                                                      \
    X("atom.js", atom_js)                                                                                    \
    X("charts.js", charts_js)                                                                                \
    X("choose.js", choose_js)                                                                                \
    X("cloud.js", cloud_js)                                                                                  \
    X("colors.js", colors_js)                                                                                \
    X("commands.js", commands_js)                                                                            \
    X("compare.js", compare_js)                                                                              \
    X("contrast.js", contrast_js)                                                                            \
    X("dictionary.js", dictionary_js)                                                                        \
    X("dom.js", dom_js)                                                                                      \
    X("input.js", input_js)                                                                                  \
    X("lists.js", lists_js)                                                                                  \
    X("map.js", map_js)                                                                                      \
    X("media.js", media_js)                                                                                  \
    X("picture.js", picture_js)                                                                              \
    X("point.js", point_js)                                                                                  \
    X("service.js", service_js)                                                                              \
    X("spectrum.js", spectrum_js)                                                                            \
    X("start.js", start_js)                                                                                  \
    X("table.js", table_js)

#define X(name, file)                                                                                        \
    extern const char asset_server_web_explorer_##file[], asset_server_web_explorer_##file##_end[];
SCRIPT_LIST(X)
X("explorer.css", explorer_css)
#undef X

ra_status api_explorer(api_call *call, ra_error *err) {
#define X(name, file)                                                                                        \
    {name, "text/javascript; charset=utf-8", asset_server_web_explorer_##file,                               \
     asset_server_web_explorer_##file##_end},
    static const struct {
        const char *name, *content_type, *start, *end;
    } files[] = {SCRIPT_LIST(X){"explorer.css", "text/css; charset=utf-8",
                                asset_server_web_explorer_explorer_css,
                                asset_server_web_explorer_explorer_css_end}};
#undef X
    const char *wanted = call->request->captures[0];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (strcmp(files[i].name, wanted) == 0)
            return document_send(call, files[i].content_type, files[i].start, files[i].end);
    RA_FAIL_FACTS(err, RA_ERR_NOT_FOUND, (.kind = PROBLEM_UNKNOWN_PATH), "the explorer has no file '%.64s'",
                  wanted);
}
