using System;
using System.Buffers.Binary;
using Blanket.Abi;
using Blanket.Machine;

namespace Blanket.Store;

/// <summary>
/// Turns a request message into its reply message: docs/misc/xenstore.txt. Every request gets exactly one reply,
/// of the same type, or of type ERROR with an error's name.
/// </summary>
internal sealed class WireProtocol
{
    private readonly NodeRequests _nodes;
    private readonly WatchRequests _watches;
    private readonly TransactionRequests _transactions;
    private readonly DomainRequests _domainRequests;
    private readonly ControlRequests _control;
    private readonly TransactionTable _open;
    private readonly DomainTable _domains;
    private readonly byte[] _reply = new byte[XenStoreWire.PayloadMax];

    /// <summary>The protocol over the requests of each kind.</summary>
    internal WireProtocol(
        NodeRequests nodes,
        WatchRequests watches,
        TransactionRequests transactions,
        DomainRequests domainRequests,
        ControlRequests control,
        TransactionTable open,
        DomainTable domains)
    {
        _nodes = nodes;
        _watches = watches;
        _transactions = transactions;
        _domainRequests = domainRequests;
        _control = control;
        _open = open;
        _domains = domains;
    }

    /// <summary>Writes a message header.</summary>
    internal static void WriteHeader(Span<byte> message, XenStoreMessage type, uint request, uint transaction, int length)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(message[XenStoreWire.HeaderType..], (uint)type);
        BinaryPrimitives.WriteUInt32LittleEndian(message[XenStoreWire.HeaderRequest..], request);
        BinaryPrimitives.WriteUInt32LittleEndian(message[XenStoreWire.HeaderTransaction..], transaction);
        BinaryPrimitives.WriteUInt32LittleEndian(message[XenStoreWire.HeaderLength..], (uint)length);
    }

    /// <summary>Serves a request and replaces it by its reply; returns the reply's length.</summary>
    /// <param name="connection">Who sent it.</param>
    /// <param name="message">A header and XENSTORE_PAYLOAD_MAX bytes; the request.</param>
    /// <param name="length">Length of the request, its header included.</param>
    internal int Answer(StoreConnection connection, Span<byte> message, int length)
    {
        XenStoreMessage type = (XenStoreMessage)BinaryPrimitives.ReadUInt32LittleEndian(message[XenStoreWire.HeaderType..]);
        uint request = BinaryPrimitives.ReadUInt32LittleEndian(message[XenStoreWire.HeaderRequest..]);
        uint transaction = BinaryPrimitives.ReadUInt32LittleEndian(message[XenStoreWire.HeaderTransaction..]);
        Span<byte> payload = message[XenStoreWire.HeaderSize..];

        PathBuilder reply = new(_reply);
        XenStoreError error = Dispatch(connection, type, transaction, payload[..(length - XenStoreWire.HeaderSize)], ref reply);
        if (error == XenStoreError.None && reply.Overflowed)
        {
            error = XenStoreError.TooBig;
        }

        if (error != XenStoreError.None)
        {
            type = XenStoreMessage.Error;
            reply = new PathBuilder(_reply);
            AppendString(ref reply, ErrorName(error));
        }

        reply.Text.CopyTo(payload);
        WriteHeader(message, type, request, transaction, reply.Length);
        return XenStoreWire.HeaderSize + reply.Length;
    }

    /// <summary>Adds a text and its terminator.</summary>
    internal static void AppendString(ref PathBuilder reply, ReadOnlySpan<byte> text)
    {
        reply.Append(text);
        reply.Append(0);
    }

    /// <summary>Adds what most requests reply: OK.</summary>
    internal static XenStoreError Acknowledge(ref PathBuilder reply, XenStoreError error)
    {
        AppendString(ref reply, "OK"u8);
        return error;
    }

    /// <summary>An error's name on the wire: xsd_errors[] of io/xs_wire.h.</summary>
    internal static ReadOnlySpan<byte> ErrorName(XenStoreError error) => error switch
    {
        XenStoreError.NotPermitted => "EPERM"u8,
        XenStoreError.NotFound => "ENOENT"u8,
        XenStoreError.InputOutput => "EIO"u8,
        XenStoreError.TooBig => "E2BIG"u8,
        XenStoreError.Again => "EAGAIN"u8,
        XenStoreError.NoMemory => "ENOMEM"u8,
        XenStoreError.AccessDenied => "EACCES"u8,
        XenStoreError.Busy => "EBUSY"u8,
        XenStoreError.Exists => "EEXIST"u8,
        XenStoreError.IsDirectory => "EISDIR"u8,
        XenStoreError.NoSpace => "ENOSPC"u8,
        XenStoreError.ReadOnly => "EROFS"u8,
        XenStoreError.NotImplemented => "ENOSYS"u8,
        XenStoreError.NotEmpty => "ENOTEMPTY"u8,
        XenStoreError.IsConnected => "EISCONN"u8,
        _ => "EINVAL"u8,
    };

    private static bool IsKnown(XenStoreMessage type) =>
        type <= XenStoreMessage.SetPermissions
        || (type >= XenStoreMessage.IsDomainIntroduced && type <= XenStoreMessage.SetTarget)
        || type == XenStoreMessage.ResetWatches
        || type == XenStoreMessage.DirectoryPart;

    /// <summary>Requests that only privileged domains may send.</summary>
    private static bool NeedsPrivilege(XenStoreMessage type) =>
        type == XenStoreMessage.Control
        || type == XenStoreMessage.Introduce
        || type == XenStoreMessage.Release
        || type == XenStoreMessage.IsDomainIntroduced
        || type == XenStoreMessage.Resume
        || type == XenStoreMessage.SetTarget;

    /// <summary>Requests whose transaction does not matter.</summary>
    private static bool IgnoresTransaction(XenStoreMessage type) =>
        type == XenStoreMessage.Watch || type == XenStoreMessage.Unwatch;

    private XenStoreError Dispatch(
        StoreConnection connection, XenStoreMessage type, uint transactionId, ReadOnlySpan<byte> payload, ref PathBuilder reply)
    {
        if (!IsKnown(type))
        {
            return XenStoreError.NotImplemented;
        }

        ref DomainRecord domain = ref _domains[connection.Domain];
        if (NeedsPrivilege(type) && !domain.IsPrivileged)
        {
            return XenStoreError.AccessDenied;
        }

        int transaction = Link.None;
        if (transactionId != 0 && !IgnoresTransaction(type))
        {
            transaction = _open.Find(connection, transactionId);
            if (transaction == Link.None)
            {
                return XenStoreError.NotFound;
            }
        }

        Caller caller = new(connection.Domain, domain.Domid, domain.IsPrivileged, transaction);
        return Dispatch(connection, caller, type, payload, ref reply);
    }

    private XenStoreError Dispatch(
        StoreConnection connection, in Caller caller, XenStoreMessage type, ReadOnlySpan<byte> payload, ref PathBuilder reply) => type switch
        {
            XenStoreMessage.Control => _control.Control(payload, ref reply),
            XenStoreMessage.Directory => _nodes.Directory(caller, payload, ref reply),
            XenStoreMessage.Read => _nodes.Read(caller, payload, ref reply),
            XenStoreMessage.GetPermissions => _nodes.GetPermissions(caller, payload, ref reply),
            XenStoreMessage.Watch => _watches.Watch(connection, payload, ref reply),
            XenStoreMessage.Unwatch => _watches.Unwatch(connection, payload, ref reply),
            XenStoreMessage.TransactionStart => _transactions.Start(connection, caller, ref reply),
            XenStoreMessage.TransactionEnd => _transactions.End(connection, caller, payload, ref reply),
            XenStoreMessage.Introduce => _domainRequests.Introduce(caller, payload, ref reply),
            XenStoreMessage.Release => _domainRequests.Release(caller, payload, ref reply),
            XenStoreMessage.GetDomainPath => DomainRequests.GetDomainPath(payload, ref reply),
            XenStoreMessage.Write => _nodes.Write(caller, payload, ref reply),
            XenStoreMessage.MakeDirectory => _nodes.MakeDirectory(caller, payload, ref reply),
            XenStoreMessage.Remove => _nodes.Remove(caller, payload, ref reply),
            XenStoreMessage.SetPermissions => _nodes.SetPermissions(caller, payload, ref reply),
            XenStoreMessage.IsDomainIntroduced => _domainRequests.IsIntroduced(payload, ref reply),
            XenStoreMessage.Resume => _domainRequests.Resume(payload, ref reply),
            XenStoreMessage.SetTarget => _domainRequests.SetTarget(payload, ref reply),
            XenStoreMessage.ResetWatches => _watches.Reset(connection, ref reply),
            XenStoreMessage.DirectoryPart => _nodes.DirectoryPart(caller, payload, ref reply),
            _ => XenStoreError.NotImplemented,
        };
}
