using System;
using Blanket.Abi;
using Blanket.Abi.Xen;
using Blanket.Machine;

namespace Blanket.Store;

/// <summary>Payloads of the requests about domains.</summary>
internal sealed class DomainRequests
{
    private readonly DomainOperations _operations;

    /// <summary>Requests that are carried out by <paramref name="operations"/>.</summary>
    internal DomainRequests(DomainOperations operations)
    {
        _operations = operations;
    }

    /// <summary>GET_DOMAIN_PATH domid| -> path|.</summary>
    internal static XenStoreError GetDomainPath(ReadOnlySpan<byte> payload, ref PathBuilder reply)
    {
        if (!TryTakeDomid(payload, out ushort domid))
        {
            return XenStoreError.Invalid;
        }

        reply.AppendHome(domid);
        reply.Append(0);
        return XenStoreError.None;
    }

    /// <summary>INTRODUCE domid|gfn|evtchn|.</summary>
    internal XenStoreError Introduce(in Caller caller, ReadOnlySpan<byte> payload, ref PathBuilder reply)
    {
        TerminatedStrings strings = new(payload);
        if (!strings.TryTake(out ReadOnlySpan<byte> domidText) || !strings.TryTake(out ReadOnlySpan<byte> frameText)
            || !strings.TryTake(out ReadOnlySpan<byte> portText)
            || !DecimalNumber.TryParseDomid(domidText, out ushort domid)
            || !TryParseFrame(frameText, out ulong frame)
            || !DecimalNumber.TryParse(portText, int.MaxValue, out ulong port) || port == 0 || domid == caller.Domid)
        {
            return XenStoreError.Invalid;
        }

        return WireProtocol.Acknowledge(ref reply, _operations.Introduce(domid, frame, (uint)port));
    }

    /// <summary>RELEASE domid|. EINVAL for domain 0 and for the caller's own.</summary>
    internal XenStoreError Release(in Caller caller, ReadOnlySpan<byte> payload, ref PathBuilder reply) =>
        TryTakeDomid(payload, out ushort domid) && domid != 0 && domid != caller.Domid
            ? WireProtocol.Acknowledge(ref reply, _operations.Release(domid))
            : XenStoreError.Invalid;

    /// <summary>RESUME domid|.</summary>
    internal XenStoreError Resume(ReadOnlySpan<byte> payload, ref PathBuilder reply) =>
        TryTakeDomid(payload, out ushort domid) && domid != 0
            ? WireProtocol.Acknowledge(ref reply, _operations.Resume(domid))
            : XenStoreError.Invalid;

    /// <summary>IS_DOMAIN_INTRODUCED domid| -> T| or F|.</summary>
    internal XenStoreError IsIntroduced(ReadOnlySpan<byte> payload, ref PathBuilder reply)
    {
        if (!TryTakeDomid(payload, out ushort domid))
        {
            return XenStoreError.Invalid;
        }

        bool introduced = domid == DomainId.Self || _operations.IsIntroduced(domid);
        WireProtocol.AppendString(ref reply, introduced ? "T"u8 : "F"u8);
        return XenStoreError.None;
    }

    /// <summary>SET_TARGET domid|tdomid|.</summary>
    internal XenStoreError SetTarget(ReadOnlySpan<byte> payload, ref PathBuilder reply)
    {
        TerminatedStrings strings = new(payload);
        return strings.TryTake(out ReadOnlySpan<byte> domidText) && strings.TryTake(out ReadOnlySpan<byte> targetText)
            && DecimalNumber.TryParseDomid(domidText, out ushort domid) && DecimalNumber.TryParseDomid(targetText, out ushort target)
            ? WireProtocol.Acknowledge(ref reply, _operations.SetTarget(domid, target))
            : XenStoreError.Invalid;
    }

    /// <summary>A frame number, which the protocol writes as a signed decimal: clients may send the two's complement.</summary>
    private static bool TryParseFrame(ReadOnlySpan<byte> text, out ulong frame)
    {
        bool isNegative = !text.IsEmpty && text[0] == (byte)'-';
        bool valid = DecimalNumber.TryParse(isNegative ? text[1..] : text, ulong.MaxValue, out frame);
        frame = isNegative ? unchecked(0 - frame) : frame;
        return valid;
    }

    private static bool TryTakeDomid(ReadOnlySpan<byte> payload, out ushort domid)
    {
        domid = 0;
        return TerminatedStrings.TryTakeOnly(payload, out ReadOnlySpan<byte> text) && DecimalNumber.TryParseDomid(text, out domid);
    }
}
