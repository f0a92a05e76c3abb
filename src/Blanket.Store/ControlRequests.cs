using System;
using Blanket.Abi;
using Blanket.Machine;

namespace Blanket.Store;

/// <summary>CONTROL command|parameter|*: the commands "help", "check", "print", "quota" of C xenstored.</summary>
internal sealed class ControlRequests
{
    private const int NameWidth = 17;
    private const int DomainNameWidth = 16;
    private const int ValueWidth = 8;

    private readonly StoreQuotas _quotas;
    private readonly DomainTable _domains;
    private readonly StoreCheck _check;
    private readonly StoreHost _host;

    /// <summary>The commands.</summary>
    internal ControlRequests(StoreQuotas quotas, DomainTable domains, StoreCheck check, StoreHost host)
    {
        _quotas = quotas;
        _domains = domains;
        _check = check;
        _host = host;
    }

    /// <summary>Carries out a command: EINVAL for an unknown one or wrong parameters.</summary>
    internal XenStoreError Control(ReadOnlySpan<byte> payload, ref PathBuilder reply)
    {
        TerminatedStrings parameters = new(payload);
        if (!parameters.TryTake(out ReadOnlySpan<byte> command))
        {
            return XenStoreError.Invalid;
        }

        if (command.SequenceEqual("quota"u8))
        {
            return Quota(ref parameters, ref reply);
        }

        if (command.SequenceEqual("print"u8))
        {
            return Print(ref parameters, ref reply);
        }

        if (parameters.Count > 0)
        {
            return XenStoreError.Invalid;
        }

        if (command.SequenceEqual("check"u8))
        {
            return WireProtocol.Acknowledge(ref reply, _check.IsSound() ? XenStoreError.None : XenStoreError.InputOutput);
        }

        if (command.SequenceEqual("help"u8))
        {
            WireProtocol.AppendString(ref reply, "check\t\nprint\t<string>\nquota\t[set <name> <val>|<domid>]\nhelp\t\n"u8);
            return XenStoreError.None;
        }

        return XenStoreError.Invalid;
    }

    private XenStoreError Print(ref TerminatedStrings parameters, ref PathBuilder reply)
    {
        if (parameters.Count != 1 || !parameters.TryTake(out ReadOnlySpan<byte> text))
        {
            return XenStoreError.Invalid;
        }

        _host.Print(text);
        return WireProtocol.Acknowledge(ref reply, XenStoreError.None);
    }

    private XenStoreError Quota(ref TerminatedStrings parameters, ref PathBuilder reply)
    {
        int count = parameters.Count;
        if (count == 0)
        {
            ShowQuotas(ref reply);
            return XenStoreError.None;
        }

        parameters.TryTake(out ReadOnlySpan<byte> first);
        if (count == 1)
        {
            return DecimalNumber.TryParseDomid(first, out ushort domid) ? ShowUsage(domid, ref reply) : XenStoreError.Invalid;
        }

        if (count != 3 || !first.SequenceEqual("set"u8)
            || !parameters.TryTake(out ReadOnlySpan<byte> name) || !parameters.TryTake(out ReadOnlySpan<byte> text)
            || !DecimalNumber.TryParse(text, int.MaxValue, out ulong value) || value == 0)
        {
            return XenStoreError.Invalid;
        }

        return WireProtocol.Acknowledge(ref reply, SetQuota(name, (int)value));
    }

    private XenStoreError SetQuota(ReadOnlySpan<byte> name, int value)
    {
        if (name.SequenceEqual("nodes"u8))
        {
            _quotas.Nodes = value;
        }
        else if (name.SequenceEqual("watches"u8))
        {
            _quotas.Watches = value;
        }
        else if (name.SequenceEqual("transactions"u8))
        {
            _quotas.Transactions = value;
        }
        else if (name.SequenceEqual("outstanding"u8))
        {
            _quotas.Outstanding = value;
        }
        else if (name.SequenceEqual("transaction-nodes"u8))
        {
            _quotas.TransactionNodes = value;
        }
        else if (name.SequenceEqual("memory"u8))
        {
            _quotas.Memory = value;
        }
        else if (name.SequenceEqual("node-size"u8))
        {
            _quotas.NodeSize = value;
        }
        else if (name.SequenceEqual("path-max"u8))
        {
            _quotas.PathLength = Math.Min(value, XenStoreWire.RelativePathMax);
        }
        else if (name.SequenceEqual("permissions"u8))
        {
            _quotas.Permissions = value;
        }
        else
        {
            return XenStoreError.Invalid;
        }

        return XenStoreError.None;
    }

    private void ShowQuotas(ref PathBuilder reply)
    {
        reply.Append("Quota settings:\n"u8);
        AppendQuota(ref reply, "nodes"u8, _quotas.Nodes, "Nodes per domain"u8);
        AppendQuota(ref reply, "watches"u8, _quotas.Watches, "Watches per domain"u8);
        AppendQuota(ref reply, "transactions"u8, _quotas.Transactions, "Transactions per domain"u8);
        AppendQuota(ref reply, "outstanding"u8, _quotas.Outstanding, "Outstanding requests per domain"u8);
        AppendQuota(ref reply, "transaction-nodes"u8, _quotas.TransactionNodes, "Nodes per transaction"u8);
        AppendQuota(ref reply, "memory"u8, _quotas.Memory, "Bytes of memory per domain"u8);
        AppendQuota(ref reply, "node-size"u8, _quotas.NodeSize, "Bytes of a node"u8);
        AppendQuota(ref reply, "path-max"u8, _quotas.PathLength, "Bytes of a path"u8);
        AppendQuota(ref reply, "permissions"u8, _quotas.Permissions, "Permission entries of a node"u8);
        reply.Append(0);
    }

    private XenStoreError ShowUsage(ushort domid, ref PathBuilder reply)
    {
        int domain = _domains.Find(domid);
        if (domain == Link.None)
        {
            return XenStoreError.NotFound;
        }

        ref DomainRecord record = ref _domains[domain];
        reply.Append("Domain "u8);
        reply.AppendDecimal(domid);
        reply.Append(":\n"u8);
        AppendUsage(ref reply, "nodes"u8, record.NodeCount);
        AppendUsage(ref reply, "watches"u8, record.WatchCount);
        AppendUsage(ref reply, "transactions"u8, record.TransactionCount);
        AppendUsage(ref reply, "outstanding"u8, record.Outstanding);
        AppendUsage(ref reply, "memory"u8, record.Memory);
        reply.Append(0);
        return XenStoreError.None;
    }

    private static void AppendQuota(ref PathBuilder reply, ReadOnlySpan<byte> name, int value, ReadOnlySpan<byte> description)
    {
        AppendField(ref reply, name, NameWidth, value);
        reply.Append((byte)' ');
        reply.Append(description);
        reply.Append((byte)'\n');
    }

    private static void AppendUsage(ref PathBuilder reply, ReadOnlySpan<byte> name, long value)
    {
        AppendField(ref reply, name, DomainNameWidth, value);
        reply.Append((byte)'\n');
    }

    /// <summary>A name filled up on the right, a colon, and a number filled up on the left.</summary>
    private static void AppendField(ref PathBuilder reply, ReadOnlySpan<byte> name, int width, long value)
    {
        reply.Append(name);
        AppendSpaces(ref reply, width - name.Length);
        reply.Append(": "u8);
        PathBuilder number = new(stackalloc byte[PathBuilder.DecimalMax]);
        number.AppendDecimal((ulong)value);
        AppendSpaces(ref reply, ValueWidth - number.Length);
        reply.Append(number.Text);
    }

    private static void AppendSpaces(ref PathBuilder reply, int count)
    {
        for (int i = 0; i < count; i++)
        {
            reply.Append((byte)' ');
        }
    }
}
