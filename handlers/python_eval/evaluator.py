# Evaluates one expression from standard input and answers on standard output: one letter, then
#   R  the result in msgpack       X  the reason for a refusal       E  the exception that it raised
#
# It runs in a process of its own, with limits and a filter from the kernel (see python_eval.cpp); neither that nor the
# checks here are trusted alone. The checks are an allow-list over the parsed expression: what is not named below is refused. There
# are no attributes, so no object leads to another one's inside; names are those of kCalls and of comprehensions. The
# operators and functions that can make much out of little (**, <<, *, +, %, range, pow, ...) are replaced by guarded
# ones, under names that no expression can spell.
import sys
from _ast import *
from _ast import PyCF_ONLY_AST
from itertools import islice
from struct import pack

try:
    from resource import RLIMIT_NOFILE, setrlimit
except ImportError:  # a Python without it: the other fences stand
    setrlimit = None

SOURCE_MAX = 65536  # bytes of the expression
DEPTH_MAX = 500  # of the parsed expression: a sum of so many parts
NODES_MAX = 20000
INT_BITS_MAX = 65536  # of an integer on the way; the result's have 64
SEQUENCE_MAX = 1000000  # items or characters made by one operation
RANGE_MAX = 10000000  # items of a range, which takes no memory by itself
RESULT_MAX = 1024 * 1024  # bytes of the encoded result


class Refused(Exception):
    pass


class NoResult(Exception):
    """The value has no form that can be sent."""


# ---- guarded operations ------------------------------------------------------------------------------------------

def check_sequence(size, what):
    if size > SEQUENCE_MAX:
        raise Refused("%s of %d items is over the limit of %d" % (what, size, SEQUENCE_MAX))


def check_bits(bits):
    if bits > INT_BITS_MAX:
        raise Refused("an integer of %d bits is over the limit of %d" % (bits, INT_BITS_MAX))


def is_sized(value):
    return isinstance(value, (str, list, tuple))


def guarded_pow(base, exponent, modulus=None):
    if modulus is not None:
        return pow(base, exponent, modulus)
    if isinstance(base, int) and isinstance(exponent, int) and exponent > 0 and abs(base) > 1:
        check_bits(base.bit_length() * exponent)
    return base ** exponent


def guarded_lshift(left, right):
    if isinstance(left, int) and isinstance(right, int) and left != 0:
        check_bits(left.bit_length() + right)
    return left << right


def guarded_mult(left, right):
    if isinstance(left, int) and isinstance(right, int):
        check_bits(left.bit_length() + right.bit_length())
    for sequence, times in ((left, right), (right, left)):
        if is_sized(sequence) and isinstance(times, int):
            check_sequence(len(sequence) * times, "a sequence")
    return left * right


def guarded_add(left, right):
    if is_sized(left) and is_sized(right):
        check_sequence(len(left) + len(right), "a sequence")
    return left + right


def guarded_mod(left, right):
    if isinstance(left, str):
        raise Refused("formatting with % is not allowed")
    return left % right


def guarded_range(*arguments):
    made = range(*arguments)
    if made and (made[-1] - made[0]) // made.step + 1 > RANGE_MAX:  # len() stops at 64 bits
        raise Refused("a range of more than %d items" % RANGE_MAX)
    return made


def guarded_round(number, digits=None):
    if digits is None:
        return round(number)
    if isinstance(digits, int) and abs(digits) > 1000:
        raise Refused("rounding to more than 1000 digits")
    return round(number, digits)


def guarded_sum(items, start=0):
    if type(items) is range and type(start) is int:
        return sum(items, start)
    total = start
    for item in items:  # sum() itself would add lists, and large integers, without a bound
        total = guarded_add(total, item)
        if isinstance(total, int):
            check_bits(total.bit_length())
    return total


def guarded_int(value=0, *base):
    if isinstance(value, str) and len(value) > 4300:
        raise Refused("an integer of more than 4300 digits")
    return int(value, *base)


def guarded_str(value=""):
    if isinstance(value, int):
        check_bits(value.bit_length() * 4)  # the conversion takes quadratic time
    return str(value)


def bounded(make):
    def build(items=()):
        made = make(islice(items, RANGE_MAX + 1))
        if len(made) > RANGE_MAX:
            raise Refused("a sequence of more than %d items" % RANGE_MAX)
        return made

    return build


CALLS = {
    "abs": abs, "all": all, "any": any, "bin": bin, "bool": bool, "chr": chr, "dict": dict, "divmod": divmod,
    "enumerate": enumerate, "filter": filter, "float": float, "hex": hex, "int": guarded_int, "len": len,
    "list": bounded(list), "map": map, "max": max, "min": min, "oct": oct, "ord": ord, "pow": guarded_pow,
    "range": guarded_range, "reversed": reversed, "round": guarded_round, "set": bounded(set),
    "sorted": sorted, "str": guarded_str, "sum": guarded_sum, "tuple": bounded(tuple), "zip": zip,
}

OPERATORS = {
    Pow: ("<pow>", guarded_pow), LShift: ("<lshift>", guarded_lshift), Mult: ("<mult>", guarded_mult),
    Add: ("<add>", guarded_add), Mod: ("<mod>", guarded_mod), Sub: None, Div: None, FloorDiv: None, RShift: None,
    BitAnd: None, BitOr: None, BitXor: None,
}

# ---- the allow-list ----------------------------------------------------------------------------------------------

NODES = (
    Expression, Constant, Name, Load, Store, UnaryOp, UAdd, USub, Not, Invert, BinOp, BoolOp, And, Or, Compare, Eq, NotEq,
    Lt, LtE, Gt, GtE, Is, IsNot, In, NotIn, IfExp, List, Tuple, Set, Dict, Subscript, Slice, Starred, Call, keyword,
    ListComp, SetComp, DictComp, GeneratorExp, comprehension,
) + tuple(OPERATORS) + tuple(globals()[name] for name in ("Index", "ExtSlice") if name in globals())  # Python 3.8

WORDS = {
    "Attribute": "an attribute", "Lambda": "a lambda", "JoinedStr": "an f-string", "NamedExpr": "an assignment",
    "Await": "await", "Yield": "yield", "YieldFrom": "yield", "MatMult": "the operator @",
}


def children(node):
    for field in node._fields:
        value = getattr(node, field, None)
        if isinstance(value, AST):
            yield value
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, AST):
                    yield item


def check(tree):
    """Refuses what is not allowed. No recursion: a deep expression is found out, not fallen into."""
    nodes = [(tree, 0)]
    at = 0
    bound = set()
    while at < len(nodes):
        node, depth = nodes[at]
        at += 1
        if type(node) not in NODES:
            name = type(node).__name__
            raise Refused(WORDS.get(name, "the construct " + name) + " is not allowed")
        if depth > DEPTH_MAX:
            raise Refused("the expression is nested too deeply")
        if len(nodes) > NODES_MAX:
            raise Refused("the expression has too many parts")
        if isinstance(node, Constant):
            if type(node.value) not in (int, float, str, bool, type(None)):
                raise Refused("a literal of type %s is not allowed" % type(node.value).__name__)
            if type(node.value) is int:
                check_bits(node.value.bit_length())
        elif isinstance(node, comprehension):
            if node.is_async:
                raise Refused("async is not allowed")
        elif isinstance(node, Name) and isinstance(node.ctx, Store):
            if node.id in CALLS or "__" in node.id:
                raise Refused("the name %s cannot be used for a variable" % shown(node.id))
            bound.add(node.id)
        elif isinstance(node, keyword):
            if node.arg is None or "__" in node.arg:
                raise Refused("an argument %s is not allowed" % ("**" if node.arg is None else shown(node.arg)))
        elif isinstance(node, (Subscript, Starred, List, Tuple)) and not isinstance(node.ctx, Load):
            if not isinstance(node, (List, Tuple)):
                raise Refused("this target of a loop is not allowed")
        nodes.extend((child, depth + 1) for child in children(node))
    for node, _ in nodes:
        if isinstance(node, Name) and isinstance(node.ctx, Load) and node.id not in CALLS and node.id not in bound:
            raise Refused("the name %s is not allowed" % shown(node.id))
        if isinstance(node, Call) and not (isinstance(node.func, Name) and node.func.id in CALLS):
            raise Refused("only functions by their name can be called")
    return [node for node, _ in nodes]


def guard(nodes):
    """Replaces operators by calls of the guarded ones, in place. Children first: a call takes over its operands."""
    for parent in reversed(nodes):
        for field in parent._fields:
            value = getattr(parent, field, None)
            if isinstance(value, BinOp):
                setattr(parent, field, guarded(value))
            elif isinstance(value, list):
                value[:] = [guarded(item) if isinstance(item, BinOp) else item for item in value]


def guarded(node):
    operator = OPERATORS[type(node.op)]
    if operator is None:
        return node
    place = {"lineno": node.lineno, "col_offset": node.col_offset, "end_lineno": node.end_lineno,
             "end_col_offset": node.end_col_offset}
    return Call(Name(operator[0], Load(), **place), [node.left, node.right], [], **place)


def shown(text):
    return repr(text[:40])


# ---- the answer --------------------------------------------------------------------------------------------------

class Encoder:
    """msgpack; sets and tuples, ranges and other iterators become lists."""

    def __init__(self):
        self.parts = []
        self.size = 0

    def put(self, data):
        self.size += len(data)
        if self.size > RESULT_MAX:
            raise Refused("the result is over the limit of %d bytes" % RESULT_MAX)
        self.parts.append(data)

    def head(self, size, small, small_max, sixteen):
        if size <= small_max:
            self.put(bytes([small | size]))
        elif size < 65536:
            self.put(bytes([sixteen]) + size.to_bytes(2, "big"))
        else:
            self.put(bytes([sixteen + 1]) + size.to_bytes(4, "big"))

    def integer(self, value):
        if 0 <= value < 128:
            self.put(bytes([value]))
        elif -32 <= value < 0:
            self.put(value.to_bytes(1, "big", signed=True))
        elif value < 0:
            if value < -(1 << 63):
                raise NoResult("result: integer beyond 64 bit")
            self.put(b"\xd3" + value.to_bytes(8, "big", signed=True))
        else:
            if value >= 1 << 64:
                raise NoResult("result: integer beyond 64 bit")
            self.put(b"\xcf" + value.to_bytes(8, "big"))

    def real(self, value):
        if value != value or value in (float("inf"), float("-inf")):
            raise NoResult("result: %r has no form in JSON" % value)
        self.put(b"\xcb" + pack(">d", value))

    def text(self, value):
        try:
            data = value.encode("utf-8")
        except UnicodeEncodeError:
            raise NoResult("result: text that is not valid Unicode") from None
        if len(data) <= 31:
            self.put(bytes([0xa0 | len(data)]) + data)
        elif len(data) < 256:
            self.put(b"\xd9" + len(data).to_bytes(1, "big") + data)
        elif len(data) < 65536:
            self.put(b"\xda" + len(data).to_bytes(2, "big") + data)
        else:
            self.put(b"\xdb" + len(data).to_bytes(4, "big") + data)

    def items(self, values, depth):
        made = list(islice(values, RESULT_MAX + 1))
        if len(made) > RESULT_MAX:
            raise Refused("the result is over the limit of %d bytes" % RESULT_MAX)
        self.head(len(made), 0x90, 15, 0xdc)
        for item in made:
            self.value(item, depth + 1)

    def value(self, value, depth=0):
        if depth > 40:
            raise Refused("the result is nested too deeply")
        kind = type(value)
        if value is None:
            self.put(b"\xc0")
        elif kind is bool:
            self.put(b"\xc3" if value else b"\xc2")
        elif kind is int:
            self.integer(value)
        elif kind is float:
            self.real(value)
        elif kind is str:
            self.text(value)
        elif kind is set:
            try:
                values = sorted(value)
            except TypeError:
                values = list(value)
            self.items(values, depth)
        elif kind in (list, tuple, range, map, filter, zip, enumerate, GENERATOR, REVERSED, REVERSED_RANGE,
                      REVERSED_LIST):
            self.items(value, depth)
        elif kind is dict:
            self.head(len(value), 0x80, 15, 0xde)
            for key, item in value.items():
                if type(key) is not str:
                    raise NoResult("result: a key of a dict must be a string, got %s" % type(key).__name__)
                self.text(key)
                self.value(item, depth + 1)
        else:
            raise NoResult("result: %s has no form in JSON" % kind.__name__)


GENERATOR = type(_ for _ in ())
REVERSED = reversed
REVERSED_RANGE = type(reversed(range(1)))
REVERSED_LIST = type(reversed([]))


def evaluate(source):
    if len(source) > SOURCE_MAX:
        raise Refused("the expression is over the limit of %d bytes" % SOURCE_MAX)
    text = source.decode("utf-8").strip()
    if not text:
        raise SyntaxError("the expression is empty")
    if "\0" in text:
        raise SyntaxError("the expression holds a NUL")
    tree = compile(text, "<expression>", "eval", PyCF_ONLY_AST, True)
    guard(check(tree))
    names = dict(CALLS)
    names.update(entry for entry in OPERATORS.values() if entry)
    names["__builtins__"] = {}
    value = eval(compile(tree, "<expression>", "eval", 0, True), names)
    encoder = Encoder()
    encoder.value(value)
    return b"".join(encoder.parts)


def answer(letter, data):
    out = sys.stdout.buffer
    out.write(letter + data)
    out.flush()


def one_line(text):
    return " ".join(text.split())[:1000].encode("utf-8", "replace")


def close_the_door():
    """Everything is imported: from here on no file can be opened, by whatever way."""
    if setrlimit is not None:
        setrlimit(RLIMIT_NOFILE, (0, 0))


def main():
    close_the_door()
    try:
        answer(b"R", evaluate(sys.stdin.buffer.read(SOURCE_MAX + 1)))
    except Refused as reason:
        answer(b"X", one_line(str(reason)))
    except NoResult as reason:
        answer(b"E", one_line(str(reason)))
    except MemoryError:
        answer(b"E", b"MemoryError: the memory limit was reached")
    except RecursionError:
        answer(b"X", b"the expression is nested too deeply")
    except SyntaxError as error:
        answer(b"E", one_line("%s: %s" % (type(error).__name__, error.msg)))
    except BaseException as error:
        answer(b"E", one_line("%s: %s" % (type(error).__name__, error)))


main()
