using System;
using Blanket.Abi;
using Blanket.Machine;

namespace Blanket.Store;

/// <summary>Payloads of the requests about watches.</summary>
internal sealed class WatchRequests
{
    private readonly WatchOperations _operations;

    /// <summary>Requests that are carried out by <paramref name="operations"/>.</summary>
    internal WatchRequests(WatchOperations operations)
    {
        _operations = operations;
    }

    /// <summary>WATCH path|token|[depth|].</summary>
    internal XenStoreError Watch(StoreConnection connection, ReadOnlySpan<byte> payload, ref PathBuilder reply)
    {
        TerminatedStrings strings = new(payload);
        int count = strings.Count;
        if (count < 2 || count > 3
            || !strings.TryTake(out ReadOnlySpan<byte> path) || !strings.TryTake(out ReadOnlySpan<byte> token))
        {
            return XenStoreError.Invalid;
        }

        int depth = WatchRecord.AnyDepth;
        if (strings.TryTake(out ReadOnlySpan<byte> depthText))
        {
            if (!DecimalNumber.TryParse(depthText, int.MaxValue, out ulong number))
            {
                return XenStoreError.Invalid;
            }

            depth = (int)number;
        }

        return WireProtocol.Acknowledge(ref reply, _operations.Add(connection, path, token, depth, 0, out _));
    }

    /// <summary>UNWATCH path|token|.</summary>
    internal XenStoreError Unwatch(StoreConnection connection, ReadOnlySpan<byte> payload, ref PathBuilder reply)
    {
        TerminatedStrings strings = new(payload);
        return strings.Count == 2 && strings.TryTake(out ReadOnlySpan<byte> path) && strings.TryTake(out ReadOnlySpan<byte> token)
            ? WireProtocol.Acknowledge(ref reply, _operations.Remove(connection, path, token, out _))
            : XenStoreError.Invalid;
    }

    /// <summary>RESET_WATCHES |.</summary>
    internal XenStoreError Reset(StoreConnection connection, ref PathBuilder reply)
    {
        _operations.Reset(connection);
        return WireProtocol.Acknowledge(ref reply, XenStoreError.None);
    }
}
