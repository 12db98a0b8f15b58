#include "handlers/http_request/http_request.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <retire_cluster/plugin.hpp>

#include "tests/unit/handlers/http_server.hpp"
#include "tests/unit/plugins/fake_attempt.hpp"

namespace retire::handlers {
namespace {

using nlohmann::json;
using test::FakeAttempt;
using test::HttpServer;
using test::ServedRequest;
using testing::HasSubstr;
using testing::StartsWith;

const json kAllowLoopback = {{"http_allow", {"127.0.0.1/32"}}};

bool has_ipv6() {
  const int fd = socket(AF_INET6, SOCK_STREAM, 0);
  if (fd >= 0) close(fd);
  return fd >= 0;
}

// What each target of the server answers.
std::string answer(const ServedRequest& request) {
  const std::string& target = request.target;
  if (target == "/hello")
    return HttpServer::answer("200 OK", "Content-Type: text/plain\r\nX-Two: a\r\nx-two: b\r\n", "hello");
  if (target == "/missing") return HttpServer::answer("404 Not Found", "", "no such page");
  if (target == "/broken") return HttpServer::answer("500 Internal Server Error", "", "oh");
  if (target == "/binary") return HttpServer::answer("200 OK", "", std::string("a\xff\0b", 4));
  if (target == "/continue")
    return "HTTP/1.1 100 Continue\r\nX-Early: 1\r\n\r\n" + HttpServer::answer("200 OK", "", "late");
  if (target == "/large") return HttpServer::answer("200 OK", "", std::string(kHttpBodyMax, 'x'));
  if (target == "/too-large") return HttpServer::answer("200 OK", "", std::string(kHttpBodyMax + 1, 'x'));
  if (target == "/endless") return "HTTP/1.1 200 OK\r\n\r\n" + std::string(kHttpBodyMax + 100, 'x');  // no length
  if (target == "/headers") {
    std::string many;
    for (int i = 0; i < 100; ++i) many += "X-" + std::to_string(i) + ": " + std::string(5000, 'v') + "\r\n";
    return HttpServer::answer("200 OK", many, "");
  }
  if (target == "/long-header") return HttpServer::answer("200 OK", "X-Long: " + std::string(200000, 'v') + "\r\n", "");
  if (target == "/hang") return "";
  if (target == "/cut") return "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort";
  if (target == "/garbage") return "this is not HTTP\r\n\r\n";
  if (target == "/loop") return HttpServer::answer("302 Found", "Location: /loop\r\n", "");
  if (target == "/chain1") return HttpServer::answer("301 Moved", "Location: chain2\r\n", "");
  if (target == "/chain2") return HttpServer::answer("302 Found", "Location: /hello\r\n", "");
  if (target.starts_with("/to/")) {  // /to/STATUS/URL
    return HttpServer::answer(target.substr(4, 3) + " Moved", "Location: " + target.substr(8) + "\r\n", "moved");
  }
  return HttpServer::answer("200 OK", "", request.method + " " + request.body);
}

class HttpRequestTest : public testing::Test {
 protected:
  json run(const json& payload) {
    EXPECT_EQ(http_.run(payload, attempt_), RC_OK) << attempt_.error;
    return attempt_.result.empty() ? json() : attempt_.result_json();
  }
  void expect_failure(const json& payload, int outcome, const std::string& message) {
    EXPECT_EQ(http_.run(payload, attempt_), outcome) << payload.dump() << ": " << attempt_.error;
    EXPECT_THAT(attempt_.error, HasSubstr(message)) << payload.dump();
  }

  HttpServer server_{answer};
  test::Hosted http_{retire_cluster::handler<HttpRequestHandler>("http_request", ""), kAllowLoopback};
  FakeAttempt attempt_;
};

TEST_F(HttpRequestTest, Gets) {
  const json result = run({{"url", server_.url("/hello")}});
  EXPECT_EQ(result.at("status_code"), 200);
  EXPECT_EQ(result.at("content"), "hello");
  EXPECT_EQ(result.at("url"), server_.url("/hello"));
  EXPECT_EQ(result.at("headers").at("content-type"), "text/plain");
  EXPECT_EQ(result.at("headers").at("x-two"), "a, b");
  EXPECT_EQ(result.size(), 4u);
}

TEST_F(HttpRequestTest, AnErrorStatusIsAnAnswer) {
  EXPECT_EQ(run({{"url", server_.url("/missing")}}).at("status_code"), 404);
  EXPECT_EQ(attempt_.result_json().at("content"), "no such page");
  EXPECT_EQ(run({{"url", server_.url("/broken")}}).at("status_code"), 500);
}

TEST_F(HttpRequestTest, KnowsEveryMethod) {
  for (const char* method : {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "post"}) {
    const json result = run({{"url", server_.url("/m")}, {"method", method}, {"body", "data"}});
    std::string expected = method;
    if (expected == "post") expected = "POST";
    EXPECT_EQ(result.at("content"), expected + " data");
  }
  EXPECT_EQ(run({{"url", server_.url("/m")}, {"method", "POST"}}).at("content"), "POST ");
  const json head = run({{"url", server_.url("/hello")}, {"method", "HEAD"}});
  EXPECT_EQ(head.at("content"), "");
  EXPECT_EQ(head.at("headers").at("content-length"), "5");
}

TEST_F(HttpRequestTest, SendsHeadersAndBodies) {
  run({{"url", server_.url("/m")},
       {"method", "POST"},
       {"headers", {{"X-Token", "secret"}, {"X-Empty", ""}}},
       {"body", "a=b"}});
  ServedRequest request = server_.requests().back();
  EXPECT_EQ(request.headers.at("x-token"), "secret");
  EXPECT_EQ(request.body, "a=b");
  EXPECT_EQ(request.headers.count("content-type"), 0u) << "nothing is guessed";
  EXPECT_EQ(request.headers.count("expect"), 0u);
  EXPECT_THAT(request.headers.at("user-agent"), StartsWith("retire-cluster/"));

  run({{"url", server_.url("/m")},
       {"method", "PUT"},
       {"headers", {{"content-type", "text/csv"}}},
       {"body", std::string(2'000'000, 'x')}});
  request = server_.requests().back();
  EXPECT_EQ(request.headers.at("content-type"), "text/csv");
  EXPECT_EQ(request.body.size(), 2'000'000u);
}

TEST_F(HttpRequestTest, SendsJson) {
  const json document = {{"a", {1, 2.5, nullptr}}, {"b", "\xc3\xa9\n"}};
  run({{"url", server_.url("/m")}, {"method", "POST"}, {"json", document}});
  const ServedRequest request = server_.requests().back();
  EXPECT_EQ(request.headers.at("content-type"), "application/json");
  EXPECT_EQ(json::parse(request.body), document);
}

TEST_F(HttpRequestTest, GivesTextWhateverCame) {
  EXPECT_EQ(run({{"url", server_.url("/binary")}}).at("content"), std::string("a\xef\xbf\xbd\0b", 6));
}

TEST_F(HttpRequestTest, GivesTheHeadersOfTheFinalAnswerOnly) {
  const json result = run({{"url", server_.url("/continue")}});
  EXPECT_EQ(result.at("content"), "late");
  EXPECT_FALSE(result.at("headers").contains("x-early"));
}

TEST_F(HttpRequestTest, FollowsRedirects) {
  const json result = run({{"url", server_.url("/chain1")}});
  EXPECT_EQ(result.at("content"), "hello");
  EXPECT_EQ(result.at("url"), server_.url("/hello"));
  const json first = run({{"url", server_.url("/chain1")}, {"follow_redirects", false}});
  EXPECT_EQ(first.at("status_code"), 301);
  EXPECT_EQ(first.at("headers").at("location"), "chain2");
}

TEST_F(HttpRequestTest, TurnsMethodsAsRedirectsAsk) {
  const auto content = [&](const std::string& status, const std::string& method) {
    const json payload = {{"url", server_.url("/to/" + status + "//m")}, {"method", method}, {"body", "x"}};
    return run(payload).at("content").get<std::string>();
  };
  EXPECT_EQ(content("301", "POST"), "GET ");
  EXPECT_EQ(content("302", "POST"), "GET ");
  EXPECT_EQ(content("303", "PUT"), "GET ");
  EXPECT_EQ(content("302", "PUT"), "PUT x");
  EXPECT_EQ(content("307", "POST"), "POST x");
  EXPECT_EQ(content("308", "DELETE"), "DELETE x");
}

TEST_F(HttpRequestTest, KeepsCredentialsFromOtherOrigins) {
  const HttpServer other(answer);
  const json headers = {{"Authorization", "Bearer t"}, {"Cookie", "c"}, {"X-Api-Key", "k"}, {"Accept", "text/html"}};
  run({{"url", server_.url("/to/302/" + other.url("/m"))}, {"headers", headers}});
  ServedRequest request = other.requests().back();
  for (const char* name : {"authorization", "cookie", "x-api-key"}) EXPECT_EQ(request.headers.count(name), 0u) << name;
  EXPECT_EQ(request.headers.at("accept"), "text/html");

  run({{"url", server_.url("/to/302//m")}, {"headers", headers}});  // the same origin
  EXPECT_EQ(server_.requests().back().headers.at("authorization"), "Bearer t");

  std::string with_user = server_.url("/to/302/" + other.url("/m"));
  with_user.insert(std::string("http://").size(), "user:password@");
  run({{"url", with_user}});
  EXPECT_EQ(server_.requests().back().headers.count("authorization"), 1u);
  EXPECT_EQ(other.requests().back().headers.count("authorization"), 0u);
}

TEST_F(HttpRequestTest, KeepsCredentialsOutOfTheResult) {
  std::string url = server_.url("/hello");
  url.insert(std::string("http://").size(), "user:password@");
  EXPECT_EQ(run({{"url", url}}).at("url"), server_.url("/hello"));
}

TEST_F(HttpRequestTest, StopsARedirectLoop) {
  expect_failure({{"url", server_.url("/loop")}}, RC_FAILED_PERMANENTLY, "http_request: more than 5 redirects");
  EXPECT_EQ(server_.request_count(), 6u);
}

TEST_F(HttpRequestTest, BoundsTheBody) {
  EXPECT_EQ(run({{"url", server_.url("/large")}}).at("content").get<std::string>().size(), kHttpBodyMax);
  for (const char* target : {"/too-large", "/endless"}) {
    expect_failure({{"url", server_.url(target)}}, RC_FAILED_PERMANENTLY,
                   "the body is over the limit of 10485760 bytes");
  }
}

TEST_F(HttpRequestTest, BoundsTheHeaders) {
  expect_failure({{"url", server_.url("/headers")}}, RC_FAILED_PERMANENTLY, "headers are over the limit");
  expect_failure({{"url", server_.url("/long-header")}}, RC_FAILED_PERMANENTLY,
                 "a line of the headers is over the limit");
}

TEST_F(HttpRequestTest, TimesOut) {
  expect_failure({{"url", server_.url("/hang")}, {"timeout", 0.2}}, RC_FAILED, "http_request: timed out after 0.2 s");
}

TEST_F(HttpRequestTest, EndsWhenCancelled) {
  attempt_.cancel_when([&] { return server_.request_count() == 1; });
  EXPECT_EQ(http_.run({{"url", server_.url("/hang")}, {"timeout", 600}}, attempt_), RC_CANCELLED);
}

TEST_F(HttpRequestTest, AFailedConnectionIsWorthARetry) {
  int closed_port = 0;
  {
    const HttpServer gone(answer);
    closed_port = gone.port();
  }
  expect_failure({{"url", "http://127.0.0.1:" + std::to_string(closed_port)}}, RC_FAILED, "http_request: ");
  expect_failure({{"url", server_.url("/cut")}}, RC_FAILED, "http_request: ");
  expect_failure({{"url", server_.url("/garbage")}}, RC_FAILED, "http_request: ");
  expect_failure({{"url", "http://name.invalid/"}}, RC_FAILED, "http_request: ");
  EXPECT_EQ(run({{"url", server_.url("/hello")}}).at("status_code"), 200) << "and the next request works";
}

TEST_F(HttpRequestTest, ListensToNoProxyOfTheEnvironment) {
  ASSERT_EQ(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
  EXPECT_EQ(run({{"url", server_.url("/hello")}}).at("status_code"), 200);
  ASSERT_EQ(unsetenv("http_proxy"), 0);
}

TEST_F(HttpRequestTest, RefusesRedirectsToWhereItMayNotGo) {
  const std::string port = std::to_string(server_.port());
  const std::pair<std::string, std::string> cases[] = {
      {"http://127.0.0.2:" + port + "/hello", "refused: 127.0.0.2 is loopback"},
      {"http://169.254.169.254/latest/meta-data/", "refused: 169.254.169.254 is cloud metadata"},
      {"http://10.0.0.1/", "refused: 10.0.0.1 is private"},
      {"http://2130706434/", "refused: 127.0.0.2 is loopback"},
      {"file:///etc/passwd", "refused: scheme \"file\""},
      {"gopher://127.0.0.1:" + port + "/", "refused: scheme \"gopher\""},
      {"ftp://127.0.0.1/", "refused: scheme \"ftp\""},
  };
  for (const auto& [target, message] : cases) {
    expect_failure({{"url", server_.url("/to/302/" + target)}}, RC_FAILED_PERMANENTLY, message);
    EXPECT_THAT(attempt_.error, StartsWith("refused: "));
  }
}

TEST_F(HttpRequestTest, ANameIsJudgedByWhatItLeadsTo) {
  EXPECT_EQ(run({{"url", server_.url("/hello", "localhost")}}).at("content"), "hello") << "127.0.0.1 is allowed here";
}

// With nothing allowed, whatever the spelling; the server counts connections that should not have been made.
TEST(HttpRequestPolicy, RefusesEveryWayToAnAddressThatIsNotGlobal) {
  const HttpServer server(answer);
  const std::string port = ":" + std::to_string(server.port());
  std::vector<std::string> hosts = {"127.0.0.1",
                                    "127.0.0.2",
                                    "127.1",
                                    "127.0.1",
                                    "127.255.255.254",
                                    "2130706433",
                                    "0x7f000001",
                                    "0x7f.0.0.1",
                                    "0177.0.0.1",
                                    "017700000001",
                                    "0x7f.1",

                                    "localhost",
                                    "LOCALHOST",
                                    "0.0.0.0",
                                    "0",
                                    "0x0",
                                    "00000000",
                                    "10.0.0.1",
                                    "10.255.255.255",
                                    "172.16.0.1",
                                    "172.31.255.255",
                                    "192.168.1.1",
                                    "3232235777",
                                    "169.254.169.254",
                                    "2852039166",
                                    "0xa9fea9fe",
                                    "0251.0376.0251.0376",
                                    "169.254.0.1",
                                    "100.64.0.1",
                                    "100.100.100.200",
                                    "168.63.129.16",
                                    "192.0.0.1",
                                    "192.0.2.1",
                                    "198.18.0.1",
                                    "198.51.100.1",
                                    "203.0.113.1",
                                    "224.0.0.1",
                                    "239.255.255.250",
                                    "240.0.0.1",
                                    "255.255.255.255",
                                    "user:password@127.0.0.1",
                                    "8.8.8.8@127.0.0.1"};
  if (has_ipv6()) {
    for (const char* host :
         {"[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]",
          "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[2001:0:7f00:1::]", "[fd00:ec2::254]", "[fe80::1]", "[fc00::1]",
          "[fec0::1]", "[ff02::1]", "[2001:db8::1]", "[::ffff:a9fe:a9fe]"}) {
      hosts.emplace_back(host);
    }
  }
  test::Hosted http(retire_cluster::handler<HttpRequestHandler>("http_request", ""));
  for (const std::string& host : hosts) {
    FakeAttempt attempt;
    EXPECT_EQ(http.run({{"url", "http://" + host + port + "/hello"}, {"timeout", 5}}, attempt), RC_FAILED_PERMANENTLY)
        << host << ": " << attempt.error;
    EXPECT_THAT(attempt.error, StartsWith("refused: ")) << host;
    EXPECT_TRUE(attempt.result.empty());
  }
  EXPECT_EQ(server.request_count(), 0u);
}

// A handler that asks no resolver: what each name leads to is said here. Empty: it succeeded.
std::string failure_with(const std::vector<std::string>& names, std::vector<Cidr> allowed, const std::string& url) {
  HttpRequestHandler handler(AddressPolicy(std::move(allowed)), names);
  const std::string payload = test::to_msgpack({{"url", url}, {"timeout", 5}});
  const msgpack::object_handle decoded = msgpack::unpack(payload.data(), payload.size());
  FakeAttempt attempt;
  retire_cluster::Context context(&attempt.context());
  try {
    handler.run(decoded.get(), context);
  } catch (const retire_cluster::PermanentError& error) {
    return error.what();
  } catch (const std::exception& error) {
    return std::string("may be repeated: ") + error.what();
  }
  return "";
}

struct Vector {
  const char* address;  // as the resolver gives it
  const char* what;     // as it is refused
};
constexpr Vector kVectors[] = {
    {"127.0.0.1", "127.0.0.1 is loopback"},
    {"127.0.0.53", "127.0.0.53 is loopback"},
    {"127.255.255.255", "127.255.255.255 is loopback"},
    {"0.0.0.0", "0.0.0.0 is unspecified"},
    {"0.0.0.1", "0.0.0.1 is unspecified"},
    {"10.0.0.1", "10.0.0.1 is private"},
    {"172.16.5.4", "172.16.5.4 is private"},
    {"172.31.255.254", "172.31.255.254 is private"},
    {"192.168.0.1", "192.168.0.1 is private"},
    {"169.254.169.254", "169.254.169.254 is cloud metadata"},
    {"169.254.170.2", "169.254.170.2 is cloud metadata"},
    {"169.254.1.1", "169.254.1.1 is link-local"},
    {"100.100.100.200", "100.100.100.200 is cloud metadata"},
    {"168.63.129.16", "168.63.129.16 is cloud metadata"},
    {"100.64.0.1", "100.64.0.1 is carrier-grade NAT"},
    {"100.127.255.254", "100.127.255.254 is carrier-grade NAT"},
    {"192.0.0.8", "192.0.0.8 is reserved"},
    {"192.0.2.55", "192.0.2.55 is documentation"},
    {"192.88.99.1", "192.88.99.1 is 6to4 relay"},
    {"198.18.0.1", "198.18.0.1 is benchmarking"},
    {"198.51.100.7", "198.51.100.7 is documentation"},
    {"203.0.113.7", "203.0.113.7 is documentation"},
    {"224.0.0.251", "224.0.0.251 is multicast"},
    {"239.255.255.250", "239.255.255.250 is multicast"},
    {"240.0.0.1", "240.0.0.1 is reserved"},
    {"255.255.255.255", "255.255.255.255 is broadcast"},
    {"[::]", ":: is unspecified"},
    {"[::1]", "::1 is loopback"},
    {"[::ffff:127.0.0.1]", "::ffff:127.0.0.1 is IPv4-mapped"},
    {"[::ffff:10.0.0.1]", "::ffff:10.0.0.1 is IPv4-mapped"},
    {"[::ffff:169.254.169.254]", "::ffff:169.254.169.254 is IPv4-mapped"},
    {"[::7f00:1]", "is IPv4-compatible"},
    {"[::ffff:0:7f00:1]", "is reserved"},  // translated by SIIT
    {"[64:ff9b::7f00:1]", "64:ff9b::7f00:1 is NAT64"},
    {"[64:ff9b::a9fe:a9fe]", "64:ff9b::a9fe:a9fe is NAT64"},
    {"[64:ff9b:1::a00:1]", "64:ff9b:1::a00:1 is local NAT64"},
    {"[100::1]", "100::1 is discard-only"},
    {"[2001:0:7f00:1::]", "2001:0:7f00:1:: is Teredo"},
    {"[2001:db8::1]", "2001:db8::1 is documentation"},
    {"[2002:7f00:1::]", "2002:7f00:1:: is 6to4"},
    {"[2002:a9fe:a9fe::]", "2002:a9fe:a9fe:: is 6to4"},
    {"[fc00::1]", "fc00::1 is unique local"},
    {"[fd00:ec2::254]", "fd00:ec2::254 is cloud metadata"},
    {"[fe80::1]", "fe80::1 is link-local"},
    {"[fec0::1]", "fec0::1 is site-local"},
    {"[ff02::1]", "ff02::1 is multicast"},
    {"[ff05::1:3]", "ff05::1:3 is multicast"},
    {"[5f00::1]", "5f00::1 is reserved"},
};
static_assert(std::size(kVectors) >= 40);

TEST(HttpRequestPolicy, RefusesANameThatLeadsToAnAddressThatIsNotGlobal) {
  const HttpServer server(answer);
  const std::string port = std::to_string(server.port());
  for (const Vector& vector : kVectors) {
    if (vector.address[0] == '[' && !has_ipv6()) continue;
    const std::string failure = failure_with({"innocent.example:" + port + ":" + vector.address}, {},
                                             "http://innocent.example:" + port + "/hello");
    EXPECT_THAT(failure, StartsWith("refused: ")) << vector.address;
    EXPECT_THAT(failure, HasSubstr(vector.what)) << vector.address;
  }
  EXPECT_EQ(server.request_count(), 0u);
}

TEST(HttpRequestPolicy, RefusesARedirectToANameThatLeadsToSuchAnAddress) {
  const HttpServer server(answer);
  std::size_t asked = 0;
  for (const Vector& vector : kVectors) {
    if (vector.address[0] == '[' && !has_ipv6()) continue;
    if (std::string_view(vector.address) == "127.0.0.1") continue;  // allowed here, for the first hop
    ++asked;
    const std::string failure =
        failure_with({"second.example:80:" + std::string(vector.address)}, {*parse_cidr("127.0.0.1")},
                     server.url("/to/307/http://second.example/hello"));
    EXPECT_THAT(failure, StartsWith("refused: ")) << vector.address;
    EXPECT_THAT(failure, HasSubstr(vector.what)) << vector.address;
  }
  EXPECT_EQ(server.request_count(), asked) << "each came as far as the first hop";
}

TEST(HttpRequestPolicy, ANameWithSeveralAddressesGoesOnlyToThoseThatAreAllowed) {
  const HttpServer server(answer);
  const std::string port = std::to_string(server.port());
  const std::string url = "http://both.example:" + port + "/hello";
  EXPECT_EQ(failure_with({"both.example:" + port + ":127.0.0.2,127.0.0.1"}, {*parse_cidr("127.0.0.1")}, url), "");
  EXPECT_EQ(server.request_count(), 1u);
  EXPECT_THAT(failure_with({"both.example:" + port + ":10.0.0.1,192.168.0.1"}, {*parse_cidr("127.0.0.1")}, url),
              StartsWith("refused: 10.0.0.1 is private"));
}

// Spellings that some parser takes for 127.0.0.1. Where libcurl does too, the policy refuses; where it does not, they
// are no URL or no name. Nothing of it reaches the server.
TEST(HttpRequestPolicy, OddSpellingsOfLoopbackGoNowhere) {
  const HttpServer server(answer);
  for (const std::string host : {"127.0.0.1.",
                                 "127.0.0.1..",
                                 "0x7f.0x0.0x0.0x1",
                                 "0x7F000001",
                                 "127.0x1",
                                 "127.0.01",

                                 "127.00000000001",
                                 "4294967297",
                                 "2130706433.",
                                 "%31%32%37.0.0.1",
                                 "127%2e0%2e0%2e1",
                                 "127.0.0.1%00.example.invalid",
                                 "\uff11\uff12\uff17.\uff10.\uff10.\uff11",
                                 "\u2460\u2461\u2466.\u24ea.\u24ea.\u2460",
                                 "127\u30020\u30020\u30021",
                                 "\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3",
                                 "localhost.",
                                 "LocalHost",
                                 "example.invalid@127.0.0.1",
                                 "127.0.0.1#@example.invalid",
                                 "127.0.0.1\\@example.invalid",
                                 "[::ffff:0x7f.1]",
                                 "[0::1]",
                                 "[::00001]",
                                 "[::1%251]",
                                 "[::%31]",
                                 "-1.0.0.1"}) {
    const std::string failure = failure_with({}, {}, "http://" + host + ":" + std::to_string(server.port()) + "/hello");
    EXPECT_NE(failure, "") << host;
  }
  EXPECT_EQ(server.request_count(), 0u);
}

TEST(HttpRequestPolicy, AHeaderOrAUserNameDoesNotChangeWhereItGoes) {
  const HttpServer server(answer);
  const std::string port = std::to_string(server.port());
  test::Hosted http(retire_cluster::handler<HttpRequestHandler>("http_request", ""));
  FakeAttempt attempt;
  EXPECT_EQ(http.run({{"url", "http://127.0.0.1:" + port}, {"headers", {{"Host", "example.com"}}}}, attempt),
            RC_FAILED_PERMANENTLY);
  EXPECT_THAT(attempt.error, StartsWith("refused: 127.0.0.1 is loopback"));
  EXPECT_EQ(server.request_count(), 0u);
}

TEST(HttpRequestPolicy, RefusesOtherSchemes) {
  test::Hosted http(retire_cluster::handler<HttpRequestHandler>("http_request", ""),
                    {{"http_allow", {"0.0.0.0/0", "::/0"}}});
  for (const char* url : {"file:///etc/passwd", "FILE:///etc/passwd", "ftp://example.com/", "gopher://example.com/",
                          "dict://example.com/", "scp://example.com/", "ldap://example.com/", "smb://example.com/a",
                          "telnet://example.com", "ws://example.com/", "unix:///var/run/docker.sock"}) {
    FakeAttempt attempt;
    EXPECT_EQ(http.run({{"url", url}}, attempt), RC_FAILED_PERMANENTLY) << url;
    EXPECT_THAT(attempt.error, StartsWith("refused: scheme ")) << url;
  }
}

TEST(HttpRequestPolicy, RefusesSettingsThatMakeNoSense) {
  const std::pair<json, std::string> cases[] = {
      {{{"http_allow", {"10.0.0.0/40"}}}, "http_allow: \"10.0.0.0/40\" is not a CIDR, such as 10.0.0.0/8 or ::1/128"},
      {{{"http_allow", "10.0.0.0/8"}}, "field \"http_allow\" must be a list, got string"},
      {{{"http_allow", {5}}}, "field \"http_allow\" must hold strings, got integer"},
  };
  for (const auto& [settings, reason] : cases) {
    const test::Hosted http(retire_cluster::handler<HttpRequestHandler>("http_request", ""), settings);
    EXPECT_FALSE(http.created());
    EXPECT_EQ(http.refusal, reason);
  }
}

TEST(HttpRequestCertificates, ThatCannotBeReadAreNamedAtOnce) {
  const char* usual = std::getenv("SSL_CERT_FILE");
  const std::string before = usual == nullptr ? "" : usual;
  ASSERT_EQ(setenv("SSL_CERT_FILE", "/no/such/file.pem", 1), 0);
  const test::Hosted http(retire_cluster::handler<HttpRequestHandler>("http_request", ""));
  EXPECT_FALSE(http.created());
  EXPECT_EQ(
      http.refusal,
      "http_request: SSL_CERT_FILE names /no/such/file.pem, which handlers cannot read: No such file or directory");
  ASSERT_EQ(before.empty() ? unsetenv("SSL_CERT_FILE") : setenv("SSL_CERT_FILE", before.c_str(), 1), 0);
}

TEST_F(HttpRequestTest, RefusesPayloadsNamingTheField) {
  const std::string url = server_.url("/hello");
  const std::pair<json, std::string> cases[] = {
      {json::object(), "field \"url\" is missing"},
      {{{"url", 5}}, "field \"url\" must be a string, got integer"},
      {{{"url", ""}}, "field \"url\" must begin with http:// or https://"},
      {{{"url", "example.com/path"}}, "field \"url\" must begin with http:// or https://"},
      {{{"url", "http://"}}, "field \"url\" "},
      {{{"url", "http://host:99999/"}}, "field \"url\" is not a URL"},
      {{{"url", "http://a b/"}}, "field \"url\" must not hold spaces"},
      {{{"url", "http://a/\r\nX: y"}}, "field \"url\" must not hold spaces"},
      {{{"url", "http://" + std::string(20000, 'a')}}, "field \"url\" must be at most 16 KiB"},
      {{{"url", url}, {"method", "GE T"}}, "field \"method\" must be an HTTP method"},
      {{{"url", url}, {"method", ""}}, "field \"method\" must be an HTTP method"},
      {{{"url", url}, {"method", "CONNECT"}}, "field \"method\" must not be CONNECT"},
      {{{"url", url}, {"method", 1}}, "field \"method\" must be a string, got integer"},
      {{{"url", url}, {"headers", {"a"}}}, "field \"headers\" must be a map, got list"},
      {{{"url", url}, {"headers", {{"A", 1}}}}, "field \"headers.A\" must be a string, got integer"},
      {{{"url", url}, {"headers", {{"A b", "1"}}}}, "field \"headers.A b\" is not a header name"},
      {{{"url", url}, {"headers", {{"A", "x\r\nB: y"}}}}, "field \"headers.A\" must not hold line breaks"},
      {{{"url", url}, {"headers", {{"Content-Length", "9"}}}}, "field \"headers.Content-Length\" cannot be set"},
      {{{"url", url}, {"headers", {{"transfer-encoding", "chunked"}}}},
       "field \"headers.transfer-encoding\" cannot be set"},
      {{{"url", url}, {"body", "a"}, {"json", 1}}, "field \"json\" cannot be given together with \"body\""},
      {{{"url", url}, {"body", 5}}, "field \"body\" must be a string, got integer"},
      {{{"url", url}, {"method", "HEAD"}, {"body", "x"}}, "field \"method\" must not be HEAD when there is a body"},
      {{{"url", url}, {"timeout", 0}}, "field \"timeout\" must be more than 0"},
      {{{"url", url}, {"timeout", 1e9}}, "field \"timeout\" must be at most 3600, got 1000000000"},
      {{{"url", url}, {"follow_redirects", 1}}, "field \"follow_redirects\" must be a boolean, got integer"},
      {{{"url", url}, {"verify", false}}, "field \"verify\" is not known"},
  };
  for (const auto& [payload, message] : cases) expect_failure(payload, RC_FAILED_PERMANENTLY, message);
  EXPECT_EQ(server_.request_count(), 0u);
}

}  // namespace
}  // namespace retire::handlers
