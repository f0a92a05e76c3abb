using System;
using System.Runtime.InteropServices;
using Blanket.Abi;

namespace Blanket.Core.Management;

/// <summary>
/// Takes messages of the management protocol (docs/management.md) out of a byte stream. What is no message is dropped up to the next
/// flag and counted; nothing that comes in does more than that.
/// </summary>
public sealed class MessageDecoder
{
    private readonly byte[] _message = new byte[ManagementHeader.Size + Abi.Management.MaximumPayload];
    private int _length;
    private bool _isEscaped;
    private bool _isDropping = true;
    private ManagementHeader _header;

    /// <summary>Whether a message is there; it stays until <see cref="Release"/>.</summary>
    public bool HasMessage { get; private set; }

    /// <summary>Messages that were malformed, too long or of another version.</summary>
    public ulong Malformed { get; private set; }

    /// <summary>The message's header, checked: magic, version and length.</summary>
    public ref readonly ManagementHeader Header => ref _header;

    /// <summary>The message's payload.</summary>
    public ReadOnlySpan<byte> Payload => new(_message, ManagementHeader.Size, (int)_header.Length);

    /// <summary>Takes bytes up to the end of the next message.</summary>
    /// <returns>How many were taken; fewer than given only when there is a message.</returns>
    public int Take(ReadOnlySpan<byte> bytes)
    {
        int taken = 0;
        while (taken < bytes.Length && !HasMessage)
        {
            // Nearly all bytes of a message stand for themselves, and a guest's kernel is millions of them.
            if (!_isEscaped)
            {
                int plain = PlainLength(bytes.Slice(taken));
                Add(bytes.Slice(taken, plain));
                taken += plain;
                if (taken == bytes.Length)
                {
                    break;
                }
            }

            byte value = bytes[taken++];
            if (value == Abi.Management.Flag)
            {
                End();
            }
            else if (!_isDropping)
            {
                Unescape(value);
            }
        }

        return taken;
    }

    /// <summary>Done with the message: the next one may come.</summary>
    public void Release()
    {
        HasMessage = false;
        _length = 0;
    }

    /// <summary>How many bytes come before the next flag or escape.</summary>
    private static int PlainLength(ReadOnlySpan<byte> bytes)
    {
        const ulong LowBits = 0x0101_0101_0101_0101;
        const ulong HighBits = LowBits << 7;

        // Flag and escape differ in the lowest bit only, so a byte is one of them if it is zero here without that bit.
        int length = 0;
        while (length + sizeof(ulong) <= bytes.Length)
        {
            ulong difference = (MemoryMarshal.Read<ulong>(bytes.Slice(length)) ^ (LowBits * Abi.Management.Flag)) & ~LowBits;
            if ((unchecked(difference - LowBits) & ~difference & HighBits) != 0)
            {
                break;
            }

            length += sizeof(ulong);
        }

        foreach (byte value in bytes.Slice(length))
        {
            if (value is Abi.Management.Flag or Abi.Management.Escape)
            {
                break;
            }

            length++;
        }

        return length;
    }

    private void Add(ReadOnlySpan<byte> bytes)
    {
        if (_isDropping || bytes.Length == 0)
        {
            return;
        }

        if (bytes.Length > _message.Length - _length)
        {
            Drop();
            return;
        }

        bytes.CopyTo(new Span<byte>(_message, _length, bytes.Length));
        _length += bytes.Length;
    }

    private void Unescape(byte value)
    {
        if (_isEscaped)
        {
            _isEscaped = false;
            value ^= Abi.Management.EscapeMask;
            if (value is < Abi.Management.Flag or > Abi.Management.LastEscaped)
            {
                Drop();
                return;
            }
        }
        else if (value == Abi.Management.Escape)
        {
            _isEscaped = true;
            return;
        }

        Add(new ReadOnlySpan<byte>(in value));
    }

    private void Drop()
    {
        _isDropping = true;
        Malformed++;
    }

    private void End()
    {
        bool isDropped = _isDropping;
        bool isCut = _isEscaped;
        _isDropping = false;
        _isEscaped = false;
        if (!isDropped && !isCut && IsMessage())
        {
            HasMessage = true;
            return;
        }

        // Two flags in a row are no message, and none is missing.
        if (!isDropped && (isCut || _length != 0))
        {
            Malformed++;
        }

        _length = 0;
    }

    private bool IsMessage()
    {
        if (_length < ManagementHeader.Size)
        {
            return false;
        }

        _header = MemoryMarshal.Read<ManagementHeader>(new ReadOnlySpan<byte>(_message, 0, ManagementHeader.Size));
        return _header.Magic == Abi.Management.Magic
            && _header.Version == Abi.Management.Version
            && _header.Length == (uint)(_length - ManagementHeader.Size);
    }
}
