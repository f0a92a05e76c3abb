using System;
using System.Runtime.InteropServices;
using Blanket.Abi;

namespace Blanket.Core.Management;

/// <summary>One message of the management protocol at a time, on its way out in pieces of any size.</summary>
public sealed class MessageEncoder
{
    private readonly byte[] _message = new byte[ManagementHeader.Size + Abi.Management.MaximumPayload];
    private int _length;

    // -1: the opening flag is next; _length: the closing flag is.
    private int _position;

    /// <summary>Whether a message is on its way.</summary>
    public bool IsBusy { get; private set; }

    /// <summary>Where the payload is to be written before <see cref="Begin"/>.</summary>
    public Span<byte> Payload => new(_message, ManagementHeader.Size, Abi.Management.MaximumPayload);

    /// <summary>Starts a message; its payload is the first bytes of <see cref="Payload"/>.</summary>
    public void Begin(ManagementCommand command, uint tag, int status, int payloadLength)
    {
        ManagementHeader header = new()
        {
            Magic = Abi.Management.Magic,
            Version = Abi.Management.Version,
            Command = command,
            Tag = tag,
            Status = status,
            Length = (uint)payloadLength,
        };
        MemoryMarshal.Write(new Span<byte>(_message, 0, ManagementHeader.Size), in header);
        _length = ManagementHeader.Size + payloadLength;
        _position = -1;
        IsBusy = true;
    }

    /// <summary>Gives the next bytes for the line.</summary>
    /// <param name="target">At least 2 bytes.</param>
    /// <returns>Bytes written; the message is out when <see cref="IsBusy"/> is false.</returns>
    public int Next(Span<byte> target)
    {
        int written = 0;
        if (IsBusy && _position < 0)
        {
            target[written++] = Abi.Management.Flag;
            _position = 0;
        }

        while (IsBusy && written + 1 < target.Length)
        {
            if (_position == _length)
            {
                target[written++] = Abi.Management.Flag;
                IsBusy = false;
                break;
            }

            byte value = _message[_position++];
            if (value is >= Abi.Management.Flag and <= Abi.Management.LastEscaped)
            {
                target[written++] = Abi.Management.Escape;
                value ^= Abi.Management.EscapeMask;
            }

            target[written++] = value;
        }

        return written;
    }
}
