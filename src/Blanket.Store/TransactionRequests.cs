using System;
using Blanket.Abi;
using Blanket.Machine;

namespace Blanket.Store;

/// <summary>Payloads of the requests about transactions.</summary>
internal sealed class TransactionRequests
{
    private readonly TransactionTable _transactions;

    /// <summary>Requests on a table.</summary>
    internal TransactionRequests(TransactionTable transactions)
    {
        _transactions = transactions;
    }

    /// <summary>TRANSACTION_START | -> id|. EBUSY inside a transaction.</summary>
    internal XenStoreError Start(StoreConnection connection, in Caller caller, ref PathBuilder reply)
    {
        if (caller.InTransaction)
        {
            return XenStoreError.Busy;
        }

        XenStoreError error = _transactions.Start(connection, out uint id);
        reply.AppendDecimal(id);
        reply.Append(0);
        return error;
    }

    /// <summary>TRANSACTION_END T| or F|. ENOENT outside a transaction.</summary>
    internal XenStoreError End(StoreConnection connection, in Caller caller, ReadOnlySpan<byte> payload, ref PathBuilder reply)
    {
        if (!TerminatedStrings.TryTakeOnly(payload, out ReadOnlySpan<byte> verdict)
            || verdict.Length != 1 || (verdict[0] != (byte)'T' && verdict[0] != (byte)'F'))
        {
            return XenStoreError.Invalid;
        }

        if (!caller.InTransaction)
        {
            return XenStoreError.NotFound;
        }

        if (verdict[0] == (byte)'T')
        {
            return WireProtocol.Acknowledge(ref reply, _transactions.Commit(connection, caller.Transaction));
        }

        _transactions.Abandon(connection, caller.Transaction);
        return WireProtocol.Acknowledge(ref reply, XenStoreError.None);
    }
}
