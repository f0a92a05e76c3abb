using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.InteropServices;
using Blanket.Abi;
using Blanket.Core.Management;
using FsCheck.Xunit;

namespace Blanket.Core.Tests.Management;

/// <summary>The framing of the management protocol, with what a peer may send that is no message.</summary>
public sealed class MessageTests
{
    private static readonly byte[] s_everyByte = [.. Enumerable.Range(0, 256).Select(value => (byte)value)];

    private static byte[] Encode(ManagementCommand command, uint tag, int status, byte[] payload, int pieceSize = 1 << 20)
    {
        MessageEncoder encoder = new();
        payload.CopyTo(encoder.Payload);
        encoder.Begin(command, tag, status, payload.Length);
        List<byte> line = [];
        byte[] piece = new byte[pieceSize];
        while (encoder.IsBusy)
        {
            int count = encoder.Next(piece);
            Assert.True(count > 0, "an encoder with room for two bytes writes at least one");
            line.AddRange(piece[..count]);
        }

        return [.. line];
    }

    private static byte[] Frame(ManagementHeader header, byte[] payload)
    {
        byte[] inner = [.. MemoryMarshal.AsBytes(new ReadOnlySpan<ManagementHeader>(in header)), .. payload];
        IEnumerable<byte> escaped = inner.SelectMany(value => value is >= Abi.Management.Flag and <= Abi.Management.LastEscaped
            ? new[] { Abi.Management.Escape, (byte)(value ^ Abi.Management.EscapeMask) }
            : [value]);
        return [Abi.Management.Flag, .. escaped, Abi.Management.Flag];
    }

    private static ManagementHeader Header(int length) => new()
    {
        Magic = Abi.Management.Magic,
        Version = Abi.Management.Version,
        Command = ManagementCommand.List,
        Tag = 7,
        Length = (uint)length,
    };

    private static void AssertTakes(MessageDecoder decoder, byte[] line, uint tag, byte[] payload)
    {
        int taken = 0;
        while (taken < line.Length && !decoder.HasMessage)
        {
            taken += decoder.Take(line.AsSpan(taken));
        }

        Assert.True(decoder.HasMessage);
        Assert.Equal(tag, decoder.Header.Tag);
        Assert.Equal(payload, decoder.Payload.ToArray());
        decoder.Release();
    }

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(17)]
    [InlineData(1 << 20)]
    public void MessageCrossesTheLineInPiecesOfAnySize(int pieceSize)
    {
        byte[] line = Encode(ManagementCommand.BundleData, 0x1C1D1E1F, -22, s_everyByte, pieceSize);
        Assert.DoesNotContain(line[1..^1], value => value is Abi.Management.Flag or 0x1E or 0x1F);
        MessageDecoder decoder = new();
        for (int offset = 0; offset < line.Length; offset += pieceSize)
        {
            int length = Math.Min(pieceSize, line.Length - offset);
            Assert.Equal(length, decoder.Take(line.AsSpan(offset, length)));
        }

        Assert.True(decoder.HasMessage);
        Assert.Equal(ManagementCommand.BundleData, decoder.Header.Command);
        Assert.Equal(0x1C1D1E1Fu, decoder.Header.Tag);
        Assert.Equal(-22, decoder.Header.Status);
        Assert.Equal(s_everyByte, decoder.Payload.ToArray());
        Assert.Equal(0ul, decoder.Malformed);
    }

    /// <summary>Runs of bytes that stand for themselves, of every length, and flags and escapes at every distance from each other.</summary>
    [Property]
    public void PayloadsArriveAsTheyWere(int seed)
    {
        Random random = new(seed);
        byte[] payload = new byte[random.Next(3000)];
        random.NextBytes(payload);
        int rest = random.Next(1, 200);
        for (int i = 0; i < payload.Length; i++)
        {
            payload[i] = random.Next(rest) == 0 ? (byte)(Abi.Management.Flag + random.Next(4)) : payload[i];
        }

        byte[] line = Encode(ManagementCommand.BundleData, 5, 0, payload);
        MessageDecoder decoder = new();
        for (int taken = 0; taken < line.Length;)
        {
            int length = Math.Min(line.Length - taken, random.Next(1, 300));
            Assert.Equal(length, decoder.Take(line.AsSpan(taken, length)));
            taken += length;
        }

        Assert.True(decoder.HasMessage);
        Assert.Equal(payload, decoder.Payload.ToArray());
        Assert.Equal(0ul, decoder.Malformed);
    }

    [Fact]
    public void LargestPayloadPassesAndOneByteMoreIsDropped()
    {
        byte[] payload = new byte[Abi.Management.MaximumPayload];
        payload.AsSpan().Fill(Abi.Management.Flag);
        MessageDecoder decoder = new();
        AssertTakes(decoder, Encode(ManagementCommand.BundleData, 1, 0, payload), 1, payload);
        byte[] larger = new byte[payload.Length + 1];
        decoder.Take(Frame(Header(larger.Length), larger));
        Assert.False(decoder.HasMessage);
        Assert.Equal(1ul, decoder.Malformed);
        AssertTakes(decoder, Encode(ManagementCommand.List, 2, 0, []), 2, []);
    }

    [Fact]
    public void MessageStaysUntilItIsReleasedWhateverComes()
    {
        MessageDecoder decoder = new();
        byte[] first = Encode(ManagementCommand.List, 1, 0, s_everyByte);
        byte[] second = Encode(ManagementCommand.Describe, 2, 0, [1, 2, 3]);
        Assert.Equal(first.Length, decoder.Take([.. first, .. second]));
        Assert.Equal(0, decoder.Take(second));
        Assert.Equal(1u, decoder.Header.Tag);
        Assert.Equal(s_everyByte, decoder.Payload.ToArray());
        decoder.Release();
        AssertTakes(decoder, second, 2, [1, 2, 3]);
    }

    [Fact]
    public void WrongMagicVersionAndLengthAreNoMessages()
    {
        ManagementHeader magic = Header(0);
        magic.Magic++;
        ManagementHeader version = Header(0);
        version.Version++;
        ManagementHeader tooLong = Header(4);
        ManagementHeader tooShort = Header(2);
        ManagementHeader huge = Header(0);
        huge.Length = uint.MaxValue;
        MessageDecoder decoder = new();
        decoder.Take(Frame(magic, []));
        decoder.Take(Frame(version, []));
        decoder.Take(Frame(tooLong, [1, 2, 3]));
        decoder.Take(Frame(tooShort, [1, 2, 3]));
        decoder.Take(Frame(huge, []));
        Assert.False(decoder.HasMessage);
        Assert.Equal(5ul, decoder.Malformed);
        AssertTakes(decoder, Encode(ManagementCommand.List, 3, 0, [9]), 3, [9]);
    }

    [Theory]
    [InlineData(new byte[] { 0x1C, 0x1D, 0x1C })]
    [InlineData(new byte[] { 0x1C, 0x1D, 0x41, 0x42, 0x1C })]
    [InlineData(new byte[] { 0x1C, 0x42, 0x4C, 0x4B, 0x4D, 0x1C })]
    public void CutAndWronglyEscapedMessagesAreCounted(byte[] line)
    {
        MessageDecoder decoder = new();
        decoder.Take(line);
        Assert.False(decoder.HasMessage);
        Assert.Equal(1ul, decoder.Malformed);
        AssertTakes(decoder, Encode(ManagementCommand.List, 4, 0, []), 4, []);
    }

    /// <summary>Random bytes with many flags and escapes, and damaged messages: whatever is taken for a message is one, and the next good one arrives.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void GarbageCostsNothingButItself(int seed)
    {
        Random random = new(seed);
        MessageDecoder decoder = new();
        for (uint round = 0; round < 3000; round++)
        {
            byte[] garbage = random.Next(3) == 0 ? Damaged(random) : Noise(random);
            int taken = 0;
            while (taken < garbage.Length)
            {
                taken += decoder.Take(garbage.AsSpan(taken, Math.Min(garbage.Length - taken, random.Next(1, 64))));
                if (decoder.HasMessage)
                {
                    Assert.Equal(Abi.Management.Magic, decoder.Header.Magic);
                    Assert.Equal(Abi.Management.Version, decoder.Header.Version);
                    Assert.True(decoder.Header.Length <= Abi.Management.MaximumPayload);
                    decoder.Release();
                }
            }

            byte[] payload = new byte[random.Next(40)];
            random.NextBytes(payload);

            // A flag ends what the garbage has begun, which may lack nothing else to be a message.
            decoder.Take([Abi.Management.Flag]);
            decoder.Release();
            AssertTakes(decoder, Encode(ManagementCommand.List, round, 0, payload), round, payload);
        }

        Assert.True(decoder.Malformed > 1000);
    }

    private static byte[] Noise(Random random)
    {
        byte[] bytes = new byte[random.Next(200)];
        random.NextBytes(bytes);
        for (int i = 0; i < bytes.Length / 8; i++)
        {
            bytes[random.Next(bytes.Length)] = (byte)(Abi.Management.Flag + random.Next(2));
        }

        return bytes;
    }

    private static byte[] Damaged(Random random)
    {
        byte[] payload = new byte[random.Next(60)];
        random.NextBytes(payload);
        byte[] line = Encode((ManagementCommand)random.Next(40), (uint)random.Next(), 0, payload);
        line[random.Next(line.Length)] ^= (byte)(1 << random.Next(8));
        return random.Next(2) == 0 ? line : line[..random.Next(line.Length)];
    }
}
