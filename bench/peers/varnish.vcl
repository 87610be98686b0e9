# Varnish 7.1 (Debian varnish): one thread pool, memory, its log in memory. Filled in by bench/run.
vcl 4.1;
backend origin { .host = "@ORIGIN_HOST@"; .port = "@ORIGIN_PORT@"; .max_connections = 4096; }
sub vcl_recv {
  if (req.url !~ "^/c/") { return (pass); }
}
sub vcl_backend_fetch { set bereq.http.Via = "1.1 varnish"; }
