using System;
using System.Collections.Generic;
using System.Linq;
using Blanket.Abi;
using FsCheck;
using FsCheck.Fluent;
using FsCheck.Xunit;

namespace Blanket.Store.Tests;

/// <summary>
/// Random requests of three domains, compared with <see cref="StoreModel"/>. A transaction that commits must be as if all its requests
/// had been made at the moment of the commit; one that ends with EAGAIN must have met a change.
/// </summary>
public class ModelTests
{
    [Property(MaxTest = 200)]
    public Property RequestsBehaveAsInTheModel() =>
        Prop.ForAll(
            Gen.Choose(0, int.MaxValue).ListOf(120).Select(codes => codes.ToArray()).ToArbitrary(),
            codes => new Run(codes).Play());

    private sealed class Run
    {
        private static readonly string[] s_names = ["a", "b", "c"];
        private static readonly string[] s_permissions = ["n0", "n1", "n2", "r1 b2", "b1", "r2 b1", "w0 r1 r2", "n1 r2", "b0"];

        private readonly StoreFixture _fixture = new(frames: 1024);
        private readonly int[] _codes;
        private readonly Guest[] _guests;
        private readonly List<Watch> _watches = [];
        private readonly List<OpenTransaction> _open = [];
        private readonly HashSet<(int Caller, string Path, string Token)> _expected = [];
        private readonly HashSet<(int Caller, string Path, string Token)> _allowed = [];
        private StoreModel _model = new();
        private int _code;

        public Run(int[] codes)
        {
            _codes = codes;
            _guests = [_fixture.Domain0, _fixture.AddGuest(1), _fixture.AddGuest(2)];
            Plain(new Operation(XenStoreMessage.Remove, 0, "/tool", ""));
            foreach (int domid in new[] { 1, 2 })
            {
                Plain(new Operation(XenStoreMessage.Write, 0, $"/local/domain/{domid}", ""));
                Plain(new Operation(XenStoreMessage.SetPermissions, 0, $"/local/domain/{domid}", $"n{domid}"));
            }
        }

        public bool Play()
        {
            StoreUsage idle = _fixture.Store.Usage;
            for (_code = 0; _code < _codes.Length; _code++)
            {
                Step(new Random(_codes[_code]));
                CheckEvents();
            }

            CheckTree();
            foreach (Guest guest in _guests)
            {
                Assert.Equal("OK", guest.Ask(XenStoreMessage.ResetWatches, "\0"));
            }

            foreach (int domid in new[] { 1, 2 })
            {
                Assert.Equal(XenStoreError.None, _fixture.Store.DestroyDomain((ushort)domid));
            }

            Assert.True(_fixture.Store.IsSound);
            StoreUsage after = _fixture.Store.Usage;
            Assert.Equal(0, after.Transactions + after.Watches + after.Events + after.Requests);
            Assert.Equal(1, after.Domains);
            return true;
        }

        private static string RandomPath(Random random)
        {
            string path = random.Next(4) switch { 0 => "", 1 => "/local/domain/1", 2 => "/local/domain/2", _ => "/" + s_names[random.Next(3)] };
            for (int depth = random.Next(4); depth > 0; depth--)
            {
                path += "/" + s_names[random.Next(3)];
            }

            return path.Length == 0 ? "/" : path;
        }

        private static Operation RandomOperation(Random random, int caller)
        {
            string path = RandomPath(random);
            return random.Next(10) switch
            {
                0 => new Operation(XenStoreMessage.Directory, caller, path, ""),
                1 => new Operation(XenStoreMessage.GetPermissions, caller, path, ""),
                2 => new Operation(XenStoreMessage.SetPermissions, caller, path, s_permissions[random.Next(s_permissions.Length)]),
                3 => new Operation(XenStoreMessage.MakeDirectory, caller, path, ""),
                4 => new Operation(XenStoreMessage.Remove, caller, path, ""),
                5 or 6 => new Operation(XenStoreMessage.Read, caller, path, ""),
                _ => new Operation(XenStoreMessage.Write, caller, path, new string((char)('a' + random.Next(26)), random.Next(150))),
            };
        }

        private void Step(Random random)
        {
            int caller = random.Next(3);
            switch (random.Next(20))
            {
                case 0:
                    AddWatch(caller, RandomPath(random), $"{random.Next(3)}");
                    break;
                case 1:
                    RemoveWatch(caller, RandomPath(random), $"{random.Next(3)}");
                    break;
                case 2 or 3 when _open.Count < 4:
                    _open.Add(new OpenTransaction(caller, _guests[caller].Start(), _model.Version));
                    break;
                case 4 when _open.Count > 0:
                    EndTransaction(_open[random.Next(_open.Count)], random.Next(5) > 0);
                    break;
                case < 12 when _open.Count > 0:
                    InTransaction(_open[random.Next(_open.Count)], random);
                    break;
                default:
                    Plain(RandomOperation(random, caller));
                    break;
            }
        }

        private string Ask(Operation operation, uint transaction) =>
            _guests[operation.Caller].Ask(operation.Type, operation.Payload, transaction).Replace('\0', ' ');

        private void Plain(Operation operation)
        {
            List<Change> changes = [];
            string expected = _model.Execute(operation, changes);
            Assert.Equal((operation, expected), (operation, Ask(operation, 0)));
            foreach (Change change in changes)
            {
                foreach (Watch watch in _watches.Where(w => change.Readers.Contains(w.Caller) && w.Matches(change)))
                {
                    _expected.Add(watch.Event(change.Path));
                }
            }
        }

        private void InTransaction(OpenTransaction transaction, Random random)
        {
            Operation operation = RandomOperation(random, transaction.Caller);
            transaction.Done.Add((operation, Ask(operation, transaction.Id)));
        }

        private void EndTransaction(OpenTransaction transaction, bool commit)
        {
            _open.Remove(transaction);
            string reply = _guests[transaction.Caller].End(transaction.Id, commit);
            if (!commit)
            {
                Assert.Equal("OK", reply);
                return;
            }

            if (reply == "EAGAIN")
            {
                Assert.NotEqual(transaction.Version, _model.Version);
                return;
            }

            Assert.Equal("OK", reply);
            Commit(transaction);
        }

        private void Commit(OpenTransaction transaction)
        {
            StoreModel after = _model.Copy();
            List<Change> changes = [];
            foreach ((Operation operation, string reply) in transaction.Done)
            {
                Assert.Equal((operation, after.Execute(operation, changes)), (operation, reply));
            }

            foreach (IGrouping<string, Change> group in changes.GroupBy(c => c.Path))
            {
                if (!_model.Exists(group.Key) && !after.Exists(group.Key))
                {
                    continue;
                }

                // One event a node. Who else than domain 0 may know of it depends on the order inside the commit.
                Change change = new(group.Key, group.All(c => c.IsExact), [0, 1, 2]);
                foreach (Watch watch in _watches.Where(w => w.Matches(change)))
                {
                    (watch.Caller == 0 ? _expected : _allowed).Add(watch.Event(change.Path));
                }
            }

            _model = after;
        }

        private void AddWatch(int caller, string path, string token)
        {
            string home = $"/local/domain/{caller}/";
            bool isRelative = token == "0" && path.StartsWith(home, StringComparison.Ordinal);
            string asked = isRelative ? path[home.Length..] : path;
            bool isNew = !_watches.Any(w => (w.Caller, w.Path, w.Token) == (caller, path, token));
            Assert.Equal(isNew ? "OK" : "EEXIST", _guests[caller].Watch(asked, token));
            if (isNew)
            {
                Watch watch = new(caller, path, token, isRelative ? home.Length : 0);
                _watches.Add(watch);
                _expected.Add(watch.Event(path));
            }
        }

        private void RemoveWatch(int caller, string path, string token)
        {
            int removed = _watches.RemoveAll(w => (w.Caller, w.Path, w.Token) == (caller, path, token));
            Assert.Equal(removed == 1 ? "OK" : "ENOENT", _guests[caller].Unwatch(path, token));
        }

        private void CheckEvents()
        {
            HashSet<(int Caller, string Path, string Token)> got = [];
            for (int caller = 0; caller < 3; caller++)
            {
                foreach ((string path, string token) in _guests[caller].TakeEvents())
                {
                    got.Add((caller, path, token));
                }
            }

            Assert.Empty(_expected.Except(got));
            Assert.Empty(got.Except(_expected).Except(_allowed));
            _expected.Clear();
            _allowed.Clear();
        }

        private void CheckTree()
        {
            foreach (string path in _model.Paths)
            {
                Assert.Equal(_model.ValueOf(path), _guests[0].Read(path));
                Assert.Equal((path, _model.ChildrenOf(path)), (path, _guests[0].Directory(path).TrimEnd()));
                Assert.Equal(_model.PermissionsOf(path), _guests[0].GetPermissions(path));
            }

            Assert.True(_fixture.Store.IsSound);
        }
    }

    private sealed record Watch(int Caller, string Path, string Token, int Skip)
    {
        public bool Matches(Change change) =>
            change.Path == Path || (!change.IsExact && (Path == "/" || change.Path.StartsWith(Path + "/", StringComparison.Ordinal)));

        public (int Caller, string Path, string Token) Event(string path) => (Caller, path[Skip..], Token);
    }

    private sealed record OpenTransaction(int Caller, uint Id, int Version)
    {
        public List<(Operation Operation, string Reply)> Done { get; } = [];
    }
}
