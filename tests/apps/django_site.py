"""Django with django-redis: the cache in all its forms, locks, and sessions behind a site."""

import threading
import time

import django
from django.conf import settings

from common import PORT, kill_server

settings.configure(
    SECRET_KEY="only for tests", ALLOWED_HOSTS=["testserver"], ROOT_URLCONF=__name__, USE_TZ=True, SESSION_COOKIE_AGE=60,
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"], INSTALLED_APPS=["django.contrib.sessions"],
    SESSION_ENGINE="django.contrib.sessions.backends.cache", SESSION_SAVE_EVERY_REQUEST=True,
    CACHES={
        "default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": f"redis://127.0.0.1:{PORT}/1"},
        "packed": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": f"redis://127.0.0.1:{PORT}/2", "KEY_PREFIX": "site",
                   "OPTIONS": {"COMPRESSOR": "django_redis.compressors.zlib.ZlibCompressor", "SERIALIZER": "django_redis.serializers.json.JSONSerializer"}},
    })
django.setup()

from django.core.cache import cache, caches
from django.http import HttpResponse, JsonResponse
from django.test import Client
from django.urls import path
from django.views.decorators.cache import cache_page
from django_redis import get_redis_connection

rendered = []


def login(request, name):
    """Begins a session."""
    request.session.cycle_key()
    request.session["user"], request.session["visits"] = name, 0
    return HttpResponse("welcome")


def visit(request):
    """Counts in the session."""
    if "user" not in request.session:
        return HttpResponse(status=401)
    request.session["visits"] += 1
    return JsonResponse(dict(request.session))


def logout(request):
    """Ends the session."""
    request.session.flush()
    return HttpResponse("bye")


@cache_page(30)
def page(_request, number):
    """A page that is rendered once."""
    rendered.append(number)
    return HttpResponse(f"page {number} " * 1000)


urlpatterns = [path("login/<name>", login), path("visit", visit), path("logout", logout), path("page/<int:number>", page)]


def values(store):
    """What every cache of Django does."""
    store.clear()
    assert store.set("a", {"list": [1, 2.5, None, "ü"]}, timeout=30) and store.get("a") == {"list": [1, 2.5, None, "ü"]}
    assert store.get("none") is None and store.get("none", 7) == 7
    assert store.add("b", 1) and not store.add("b", 2) and store.get("b") == 1
    assert store.get_or_set("c", lambda: "computed", 30) == "computed" and store.get_or_set("c", "other") == "computed"
    store.set_many({f"k{n}": n for n in range(200)}, timeout=30)
    assert store.get_many([f"k{n}" for n in range(200)] + ["none"]) == {f"k{n}": n for n in range(200)}
    assert store.delete("a") and not store.delete("a")
    assert store.delete_many(["k1", "k2", "none"]) == 2 and "k1" not in store and "k3" in store
    store.set("n", 10)
    assert store.incr("n") == 11 and store.decr("n", 5) == 6 and store.incr("n", 2**40) == 6 + 2**40
    try:
        store.incr("none")
        raise SystemExit("incr of a key that is not there")
    except ValueError:
        pass
    store.set("v", "old", version=1)
    assert store.incr_version("v") == 2 and store.get("v") is None and store.get("v", version=2) == "old"
    store.set("brief", 1, timeout=0.3)
    assert store.touch("c", 100) and not store.touch("none", 100) and store.ttl("c") > 90 and 0 < store.pttl("brief") <= 300
    assert store.persist("c") and store.ttl("c") is None and store.expire("c", 50) and store.ttl("none") == 0
    time.sleep(0.4)
    assert store.get("brief") is None
    store.set("large", "x" * 500_000)
    assert store.get("large") == "x" * 500_000
    assert sorted(store.keys("k1?")) == [f"k1{n}" for n in range(10)]
    assert len(list(store.iter_keys("k*"))) == 198 and store.delete_pattern("k*") == 198 and store.keys("k*") == []
    assert store.set("new", 1, nx=True) and not store.set("new", 2, nx=True) and store.set("new", 3, xx=True)
    assert store.sadd("set", 1, 2, 3) == 3 and store.smembers("set") == {1, 2, 3} and store.sismember("set", 2)


def locks():
    """A lock of many threads, and one that ends alone."""
    cache.set("counter", 0)

    def add():
        for _ in range(10):
            with cache.lock("lock", timeout=10, blocking_timeout=20):
                cache.set("counter", cache.get("counter") + 1)

    threads = [threading.Thread(target=add) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.get("counter") == 50, cache.get("counter")
    held = cache.lock("brief-lock", timeout=0.2)
    assert held.acquire() and not cache.lock("brief-lock").acquire(blocking=False)
    time.sleep(0.3)
    assert cache.lock("brief-lock", timeout=1).acquire(blocking=False)


def site():
    """A site with sessions and cached pages; its server is killed."""
    users = [Client() for _ in range(20)]
    for number, user in enumerate(users):
        assert user.get(f"/login/user{number}").status_code == 200
    for _ in range(3):
        for user in users:
            user.get("/visit")
    assert users[7].get("/visit").json() == {"user": "user7", "visits": 4}
    assert Client().get("/visit").status_code == 401
    pages = [users[0].get(f"/page/{number}").content for number in (1, 2, 1, 2, 1)]
    assert rendered == [1, 2] and pages[0] == pages[2] == pages[4] != pages[1]
    raw = get_redis_connection("default")
    sessions = [key for key in raw.keys("*") if b"sessions.cache" in key]
    assert len(sessions) == 20 and all(50 < raw.ttl(key) <= 60 for key in sessions), sessions
    cache.set("before", "the kill", timeout=None)
    kill_server()
    assert cache.get("before") == "the kill"
    for number, user in enumerate(users):
        assert user.get("/visit").json() == {"user": f"user{number}", "visits": 5 if number == 7 else 4}
    users[0].get("/page/1")
    assert rendered == [1, 2], "a page was cached"
    users[3].get("/logout")
    assert users[3].get("/visit").status_code == 401 and users[4].get("/visit").status_code == 200


values(cache)
values(caches["packed"])
locks()
site()
print("ok")
