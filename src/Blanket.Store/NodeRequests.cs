using System;
using Blanket.Abi;
using Blanket.Machine;

namespace Blanket.Store;

/// <summary>Payloads of the requests about nodes.</summary>
internal sealed class NodeRequests
{
    private readonly NodeOperations _operations;
    private readonly byte[] _value = new byte[XenStoreWire.PayloadMax];

    /// <summary>Requests that are carried out by <paramref name="operations"/>.</summary>
    internal NodeRequests(NodeOperations operations)
    {
        _operations = operations;
    }

    /// <summary>READ path| -> value.</summary>
    internal XenStoreError Read(in Caller caller, ReadOnlySpan<byte> payload, ref PathBuilder reply)
    {
        if (!TerminatedStrings.TryTakeOnly(payload, out ReadOnlySpan<byte> path))
        {
            return XenStoreError.Invalid;
        }

        XenStoreError error = _operations.Read(caller, path, _value, out int length);
        if (error == XenStoreError.None)
        {
            reply.Append(new ReadOnlySpan<byte>(_value, 0, length));
        }

        return error;
    }

    /// <summary>WRITE path|value.</summary>
    internal XenStoreError Write(in Caller caller, ReadOnlySpan<byte> payload, ref PathBuilder reply)
    {
        TerminatedStrings strings = new(payload);
        return strings.TryTake(out ReadOnlySpan<byte> path)
            ? WireProtocol.Acknowledge(ref reply, _operations.Write(caller, path, strings.Rest))
            : XenStoreError.Invalid;
    }

    /// <summary>MKDIR path|.</summary>
    internal XenStoreError MakeDirectory(in Caller caller, ReadOnlySpan<byte> payload, ref PathBuilder reply) =>
        TerminatedStrings.TryTakeOnly(payload, out ReadOnlySpan<byte> path)
            ? WireProtocol.Acknowledge(ref reply, _operations.MakeDirectory(caller, path))
            : XenStoreError.Invalid;

    /// <summary>RM path|.</summary>
    internal XenStoreError Remove(in Caller caller, ReadOnlySpan<byte> payload, ref PathBuilder reply) =>
        TerminatedStrings.TryTakeOnly(payload, out ReadOnlySpan<byte> path)
            ? WireProtocol.Acknowledge(ref reply, _operations.Remove(caller, path))
            : XenStoreError.Invalid;

    /// <summary>DIRECTORY path| -> name|*.</summary>
    internal XenStoreError Directory(in Caller caller, ReadOnlySpan<byte> payload, ref PathBuilder reply)
    {
        if (!TerminatedStrings.TryTakeOnly(payload, out ReadOnlySpan<byte> path))
        {
            return XenStoreError.Invalid;
        }

        XenStoreError error = _operations.ReadDirectory(caller, path, _value, out int length);
        if (error == XenStoreError.None)
        {
            reply.Append(new ReadOnlySpan<byte>(_value, 0, length));
        }

        return error;
    }

    /// <summary>DIRECTORY_PART path|offset| -> generation|name|*, and an empty name at the end of the list.</summary>
    internal XenStoreError DirectoryPart(in Caller caller, ReadOnlySpan<byte> payload, ref PathBuilder reply)
    {
        TerminatedStrings strings = new(payload);
        if (strings.Count != 2 || !strings.TryTake(out ReadOnlySpan<byte> path) || !strings.TryTake(out ReadOnlySpan<byte> offsetText)
            || !DecimalNumber.TryParse(offsetText, int.MaxValue, out ulong offset))
        {
            return XenStoreError.Invalid;
        }

        // Room for the generation and for the empty name at the end.
        Span<byte> names = new(_value, 0, XenStoreWire.PayloadMax - PathBuilder.DecimalMax - 2);
        XenStoreError error = _operations.ReadDirectoryPart(
            caller, path, (int)offset, names, out int length, out ulong generation, out bool isEnd);
        if (error != XenStoreError.None)
        {
            return error;
        }

        reply.AppendDecimal(generation);
        reply.Append(0);
        reply.Append(names[..length]);
        if (isEnd)
        {
            reply.Append(0);
        }

        return XenStoreError.None;
    }

    /// <summary>GET_PERMS path| -> permission|+.</summary>
    internal XenStoreError GetPermissions(in Caller caller, ReadOnlySpan<byte> payload, ref PathBuilder reply)
    {
        if (!TerminatedStrings.TryTakeOnly(payload, out ReadOnlySpan<byte> path))
        {
            return XenStoreError.Invalid;
        }

        Span<StorePermission> entries = stackalloc StorePermission[PermissionList.Maximum];
        XenStoreError error = _operations.ReadPermissions(caller, path, entries, out int count);
        for (int i = 0; error == XenStoreError.None && i < count; i++)
        {
            reply.Append(LetterOf(entries[i].Access));
            reply.AppendDecimal(entries[i].Domid);
            reply.Append(0);
        }

        return error;
    }

    /// <summary>SET_PERMS path|permission|+; what follows the last terminator is ignored.</summary>
    internal XenStoreError SetPermissions(in Caller caller, ReadOnlySpan<byte> payload, ref PathBuilder reply)
    {
        TerminatedStrings strings = new(payload);
        if (!strings.TryTake(out ReadOnlySpan<byte> path))
        {
            return XenStoreError.Invalid;
        }

        int count = strings.Count;
        if (count > PermissionList.Maximum)
        {
            return XenStoreError.NoSpace;
        }

        Span<StorePermission> entries = stackalloc StorePermission[PermissionList.Maximum];
        for (int i = 0; i < count; i++)
        {
            if (!strings.TryTake(out ReadOnlySpan<byte> text) || !TryParse(text, out entries[i]))
            {
                return XenStoreError.Invalid;
            }
        }

        return WireProtocol.Acknowledge(ref reply, _operations.SetPermissions(caller, path, entries[..count]));
    }

    private static byte LetterOf(StoreAccess access) => (access & StoreAccess.Both) switch
    {
        StoreAccess.Read => (byte)'r',
        StoreAccess.Write => (byte)'w',
        StoreAccess.Both => (byte)'b',
        _ => (byte)'n',
    };

    private static bool TryParse(ReadOnlySpan<byte> text, out StorePermission permission)
    {
        permission = default;
        if (text.IsEmpty || !TryParseLetter(text[0], out permission.Access))
        {
            return false;
        }

        return DecimalNumber.TryParseDomid(text[1..], out permission.Domid);
    }

    private static bool TryParseLetter(byte letter, out StoreAccess access)
    {
        access = letter switch
        {
            (byte)'r' => StoreAccess.Read,
            (byte)'w' => StoreAccess.Write,
            (byte)'b' => StoreAccess.Both,
            _ => StoreAccess.None,
        };
        return access != StoreAccess.None || letter == (byte)'n';
    }
}
