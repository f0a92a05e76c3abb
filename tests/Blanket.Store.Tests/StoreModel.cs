using System;
using System.Collections.Generic;
using System.Linq;
using Blanket.Abi;

namespace Blanket.Store.Tests;

/// <summary>A request of the model test.</summary>
internal sealed record Operation(XenStoreMessage Type, int Caller, string Path, string Argument)
{
    public string Payload => Type switch
    {
        XenStoreMessage.Write => Path + "\0" + Argument,
        XenStoreMessage.SetPermissions => Path + "\0" + Argument.Replace(' ', '\0') + "\0",
        _ => Path + "\0",
    };
}

/// <summary>A change that watches are told of.</summary>
internal sealed record Change(string Path, bool IsExact, HashSet<int> Readers);

/// <summary>The store as plain dictionaries: what replies and events are to be, without transactions and quotas.</summary>
internal sealed class StoreModel
{
    private readonly Dictionary<string, Node> _nodes = [];

    public StoreModel()
    {
        _nodes["/"] = new Node { Permissions = ["n0"] };
    }

    private StoreModel(StoreModel other)
    {
        foreach ((string path, Node node) in other._nodes)
        {
            _nodes[path] = new Node { Value = node.Value, Permissions = node.Permissions, Children = [.. node.Children] };
        }
    }

    /// <summary>Changes with every request that changed something.</summary>
    public int Version { get; private set; }

    public IEnumerable<string> Paths => _nodes.Keys;

    public StoreModel Copy() => new(this) { Version = Version };

    public string ValueOf(string path) => _nodes[path].Value;

    public string ChildrenOf(string path) => string.Join(' ', _nodes[path].Children);

    public string PermissionsOf(string path) => string.Join(' ', _nodes[path].Permissions);

    public bool Exists(string path) => _nodes.ContainsKey(path);

    /// <summary>Carries out a request and returns its reply.</summary>
    public string Execute(Operation operation, List<Change> changes) => operation.Type switch
    {
        XenStoreMessage.Read => Open(operation, "r") ?? _nodes[operation.Path].Value,
        XenStoreMessage.Directory => Open(operation, "r") ?? ChildrenOf(operation.Path),
        XenStoreMessage.GetPermissions => Open(operation, "r") ?? PermissionsOf(operation.Path),
        XenStoreMessage.Write => Write(operation, changes),
        XenStoreMessage.MakeDirectory => MakeDirectory(operation, changes),
        XenStoreMessage.Remove => Remove(operation, changes),
        XenStoreMessage.SetPermissions => SetPermissions(operation, changes),
        _ => throw new InvalidOperationException(),
    };

    private static string Parent(string path)
    {
        int slash = path.LastIndexOf('/');
        return slash <= 0 ? "/" : path[..slash];
    }

    private static string Name(string path) => path[(path.LastIndexOf('/') + 1)..];

    private static string Access(Node node, int caller)
    {
        if (caller == 0 || node.Owner == caller)
        {
            return "rwo";
        }

        string? entry = node.Permissions.Skip(1).FirstOrDefault(p => p[1..] == $"{caller}");
        return (entry ?? node.Permissions[0])[0] switch { 'r' => "r", 'w' => "w", 'b' => "rw", _ => "" };
    }

    /// <summary>Null when the caller has the rights, else the error.</summary>
    private string? Open(Operation operation, string rights)
    {
        bool exists = _nodes.TryGetValue(operation.Path, out Node? node);
        if (exists && rights.All(Access(node!, operation.Caller).Contains))
        {
            return null;
        }

        string ancestor = Parent(operation.Path);
        while (!Exists(ancestor))
        {
            ancestor = Parent(ancestor);
        }

        bool mayKnow = rights.Any(Access(_nodes[ancestor], operation.Caller).Contains);
        return mayKnow && !exists ? "ENOENT" : "EACCES";
    }

    private HashSet<int> Readers(string path, List<string>? former = null)
    {
        HashSet<int> readers = [];
        Node node = _nodes[path];
        Node parent = _nodes[Parent(path)];
        for (int caller = 0; caller <= 2; caller++)
        {
            if (Access(node, caller).Contains('r') || Access(parent, caller).Contains('r')
                || (former != null && Access(new Node { Permissions = former }, caller).Contains('r')))
            {
                readers.Add(caller);
            }
        }

        return readers;
    }

    private void Create(string path, int caller)
    {
        string parent = Parent(path);
        if (!Exists(parent))
        {
            Create(parent, caller);
        }

        List<string> permissions = [.. _nodes[parent].Permissions];
        if (caller != 0)
        {
            permissions[0] = permissions[0][0] + $"{caller}";
        }

        _nodes[path] = new Node { Permissions = permissions };
        _nodes[parent].Children.Add(Name(path));
    }

    private string Write(Operation operation, List<Change> changes)
    {
        string? error = Open(operation, "w");
        if (error != null && error != "ENOENT")
        {
            return error;
        }

        if (error != null)
        {
            Create(operation.Path, operation.Caller);
        }

        Version++;
        _nodes[operation.Path].Value = operation.Argument;
        changes.Add(new Change(operation.Path, false, Readers(operation.Path)));
        return "OK";
    }

    private string MakeDirectory(Operation operation, List<Change> changes)
    {
        string? error = Open(operation, "w");
        if (error != "ENOENT")
        {
            return error ?? "OK";
        }

        Version++;
        Create(operation.Path, operation.Caller);
        changes.Add(new Change(operation.Path, false, Readers(operation.Path)));
        return "OK";
    }

    private string Remove(Operation operation, List<Change> changes)
    {
        string? error = Open(operation, "w");
        if (error == "ENOENT")
        {
            return Exists(Parent(operation.Path)) ? "OK" : "ENOENT";
        }

        if (error != null || operation.Path == "/")
        {
            return error ?? "EINVAL";
        }

        Version++;
        RemoveTree(operation.Path, operation.Path, changes);
        return "OK";
    }

    private void RemoveTree(string path, string top, List<Change> changes)
    {
        foreach (string child in _nodes[path].Children.ToArray())
        {
            RemoveTree(path + "/" + child, top, changes);
        }

        changes.Add(new Change(path, path != top, Readers(path)));
        _nodes[Parent(path)].Children.Remove(Name(path));
        _nodes.Remove(path);
    }

    private string SetPermissions(Operation operation, List<Change> changes)
    {
        List<string> entries = [.. operation.Argument.Split(' ')];
        string? error = Open(operation, "wo");
        if (error != null)
        {
            return error;
        }

        Node node = _nodes[operation.Path];
        if (operation.Caller != 0 && entries[0][1..] != $"{node.Owner}")
        {
            return "EPERM";
        }

        Version++;
        List<string> former = node.Permissions;
        node.Permissions = entries;
        changes.Add(new Change(operation.Path, false, Readers(operation.Path, former)));
        return "OK";
    }

    private sealed class Node
    {
        public string Value { get; set; } = "";

        /// <summary>A letter and a domain each, the owner's first.</summary>
        public List<string> Permissions { get; set; } = [];

        public List<string> Children { get; set; } = [];

        public int Owner => int.Parse(Permissions[0][1..], System.Globalization.CultureInfo.InvariantCulture);
    }
}
