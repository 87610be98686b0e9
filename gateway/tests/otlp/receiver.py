"""An OTLP receiver for tests: OpenTelemetry's own messages, gRPC by grpcio, HTTP by the standard library.

receiver.py GRPC_PORT HTTP_PORT    (0: a free one)

Prints one JSON object a line: first the ports, then each span and each metric received. How it answers is
told over HTTP: `PUT /mode/fine`, `/mode/unavailable` (503, UNAVAILABLE), `/mode/refuse` (400,
INVALID_ARGUMENT), `/mode/partly` (takes it but for one), `/mode/slow` (takes it after three seconds).
"""

import json
import sys
import threading
import time
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metrics_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as traces_grpc

mode = "fine"
printing = threading.Lock()


def say(**what):
    with printing:
        print(json.dumps(what), flush=True)


def plain(attributes):
    values = {}
    for attribute in attributes:
        kind = attribute.value.WhichOneof("value")
        values[attribute.key] = getattr(attribute.value, kind) if kind else None
    return values


def tell_spans(request, way, fields):
    for of_resource in request.resource_spans:
        resource = plain(of_resource.resource.attributes)
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                say(
                    what="span",
                    way=way,
                    fields=fields,
                    resource=resource,
                    trace=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    kind={2: "server", 3: "client"}.get(span.kind, "other"),
                    name=span.name,
                    begun=span.start_time_unix_nano,
                    ended=span.end_time_unix_nano,
                    failed=span.status.code == 2,
                    attributes=plain(span.attributes),
                )


def tell_metrics(request, way, fields):
    for of_resource in request.resource_metrics:
        resource = plain(of_resource.resource.attributes)
        for of_scope in of_resource.scope_metrics:
            streams = []
            for metric in of_scope.metrics:
                kind = metric.WhichOneof("data")
                for point in getattr(metric, kind).data_points:
                    stream = dict(name=metric.name, kind=kind, unit=metric.unit, attributes=plain(point.attributes))
                    if kind == "exponential_histogram":
                        stream["count"] = point.count
                        stream["scale"] = point.scale
                        stream["buckets"] = sum(point.positive.bucket_counts) + point.zero_count
                        stream["exemplars"] = [exemplar.trace_id.hex() for exemplar in point.exemplars]
                    else:
                        stream["value"] = point.as_double
                    streams.append(stream)
            say(what="metrics", way=way, fields=fields, resource=resource, streams=streams)


def take(request, way, fields):
    """The message that answers, or the mode that refuses."""
    if mode in ("unavailable", "refuse"):
        return mode
    if mode == "slow":
        time.sleep(3)
    if isinstance(request, traces.ExportTraceServiceRequest):
        tell_spans(request, way, fields)
        answer = traces.ExportTraceServiceResponse()
        if mode == "partly":
            answer.partial_success.rejected_spans = 1
            answer.partial_success.error_message = "one too many"
    else:
        tell_metrics(request, way, fields)
        answer = metrics.ExportMetricsServiceResponse()
    return answer


class Grpc(traces_grpc.TraceServiceServicer, metrics_grpc.MetricsServiceServicer):
    def Export(self, request, context):
        answer = take(request, "grpc", dict(context.invocation_metadata()))
        if answer == "unavailable":
            context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
        if answer == "refuse":
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "never")
        return answer


class Http(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        global mode
        mode = self.path.rsplit("/", 1)[1]
        self.answer(200, b"")

    def do_POST(self):
        kinds = {"/v1/traces": traces.ExportTraceServiceRequest, "/v1/metrics": metrics.ExportMetricsServiceRequest}
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path not in kinds or self.headers["content-type"] != "application/x-protobuf":
            return self.answer(404, b"")
        fields = {name.lower(): value for name, value in self.headers.items()}
        answer = take(kinds[self.path].FromString(body), "http", fields)
        if answer == "unavailable":
            return self.answer(503, b"")
        if answer == "refuse":
            return self.answer(400, b"")
        self.answer(200, answer.SerializeToString())

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    grpc_port, http_port = (int(port) for port in sys.argv[1:3])
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    traces_grpc.add_TraceServiceServicer_to_server(Grpc(), server)
    metrics_grpc.add_MetricsServiceServicer_to_server(Grpc(), server)
    grpc_port = server.add_insecure_port(f"127.0.0.1:{grpc_port}")
    http = ThreadingHTTPServer(("127.0.0.1", http_port), Http)
    server.start()
    say(what="ports", grpc=grpc_port, http=http.server_port)
    http.serve_forever()


main()
