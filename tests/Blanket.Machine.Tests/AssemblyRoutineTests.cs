using System;
using FsCheck.Xunit;

namespace Blanket.Machine.Tests;

/// <summary>Copies and sums in assembly do what plain loops do, at every alignment and length, and touch nothing else.</summary>
public sealed unsafe class AssemblyRoutineTests(AssemblyRoutines routines) : IClassFixture<AssemblyRoutines>
{
    private const int LongestRun = 200;
    private readonly delegate* unmanaged<byte*, byte*, nuint, byte*> _move = (delegate* unmanaged<byte*, byte*, nuint, byte*>)routines.Find("memmove");
    private readonly delegate* unmanaged<byte*, int, nuint, byte*> _fill = (delegate* unmanaged<byte*, int, nuint, byte*>)routines.Find("memset");
    private readonly delegate* unmanaged<ulong, byte*, ulong, ulong> _add = (delegate* unmanaged<ulong, byte*, ulong, ulong>)routines.Find("ones_complement_add");

    [Fact]
    public void Every_length_is_moved_between_all_near_places()
    {
        for (int length = 0; length <= LongestRun; length++)
        {
            // Both ways, from far away to one byte apart.
            for (int distance = -80; distance <= 80; distance++)
            {
                Move(length, 100, 100 + distance);
            }

            Move(length, 0, 300 + (length & 7));
        }
    }

    [Property(MaxTest = 500)]
    public void Long_runs_are_moved(ushort length, ushort from, ushort to) => Move(length % 5000, from % 6000, to % 6000);

    [Fact]
    public void Every_length_is_filled()
    {
        for (int length = 0; length <= LongestRun; length++)
        {
            byte[] bytes = Bytes(LongestRun + 40, length);
            byte[] expected = (byte[])bytes.Clone();
            expected.AsSpan(length & 7, length).Fill(0xa5);
            fixed (byte* at = bytes)
            {
                Assert.True(_fill(at + (length & 7), 0x1a5, (nuint)length) == at + (length & 7));
            }

            Assert.Equal(expected, bytes);
        }
    }

    [Fact]
    public void Every_length_is_summed()
    {
        byte[] bytes = Bytes(LongestRun * 2, 7);
        for (int length = 0; length <= LongestRun; length++)
        {
            for (int start = 0; start < 8; start++)
            {
                Sum(0, bytes.AsSpan(start, length));
                Sum(ulong.MaxValue - 3, bytes.AsSpan(start, length));
            }
        }
    }

    [Property(MaxTest = 1000)]
    public void Any_bytes_are_summed(ulong before, byte[] bytes) => Sum(before, bytes);

    [Theory]
    [InlineData(0)]
    [InlineData(0xff)]
    [InlineData(0x80)]
    public void Carries_go_round(byte value)
    {
        byte[] bytes = new byte[70_001];
        bytes.AsSpan().Fill(value);
        Sum(0, bytes);
        Sum(1, bytes);
        Sum(ulong.MaxValue, bytes);
    }

    private void Move(int length, int from, int to)
    {
        byte[] bytes = Bytes(Math.Max(from, to) + length + 40, length);
        byte[] expected = (byte[])bytes.Clone();
        byte[] moved = bytes.AsSpan(from, length).ToArray();
        moved.CopyTo(expected, to);
        fixed (byte* at = bytes)
        {
            Assert.True(_move(at + to, at + from, (nuint)length) == at + to);
        }

        Assert.True(expected.AsSpan().SequenceEqual(bytes), $"{length} bytes from {from} to {to}");
    }

    private void Sum(ulong before, ReadOnlySpan<byte> bytes)
    {
        UInt128 sum = before;
        for (int i = 0; i < bytes.Length; i++)
        {
            sum += (uint)bytes[i] << (i % 2 * 8);
        }

        fixed (byte* at = bytes)
        {
            ulong result = _add(before, at, (ulong)bytes.Length);
            Assert.Equal(Fold(sum), OnesComplement.Fold(result));
            Assert.Equal(Fold(sum), OnesComplement.Fold(OnesComplement.Add(before, bytes)));
        }
    }

    // 0 only for nothing but zeroes, as a sum with end-around carry.
    private static ushort Fold(UInt128 sum) => sum == 0 ? (ushort)0 : (ushort)((sum - 1) % 0xffff + 1);

    private static byte[] Bytes(int length, int seed)
    {
        byte[] bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }
}
