using System;

namespace Blanket.Core.Bundles;

/// <summary>Checks of the text in a boot bundle.</summary>
public static class BundleText
{
    /// <summary>Length of NUL-padded text in a field, or -1 when no NUL ends it or bytes behind the NUL are not zero.</summary>
    public static int PaddedLength(ReadOnlySpan<byte> field)
    {
        int length = 0;
        while (length < field.Length && field[length] != 0)
        {
            length++;
        }

        return length < field.Length && IsZero(field.Slice(length)) ? length : -1;
    }

    /// <summary>Whether a field holds a name: a letter or digit, then letters, digits and <c>- _ . +</c>, NUL-padded.</summary>
    public static bool IsName(ReadOnlySpan<byte> field)
    {
        int length = PaddedLength(field);
        if (length < 1 || !IsLetterOrDigit(field[0]))
        {
            return false;
        }

        for (int i = 1; i < length; i++)
        {
            if (!IsLetterOrDigit(field[i]) && !IsNamePunctuation(field[i]))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Whether a field holds a serial: printable ASCII, NUL-padded unless it fills the field.</summary>
    public static bool IsSerial(ReadOnlySpan<byte> field)
    {
        int length = 0;
        while (length < field.Length && field[length] > 0x20 && field[length] < 0x7F)
        {
            length++;
        }

        return length > 0 && IsZero(field.Slice(length));
    }

    /// <summary>Whether no byte is NUL.</summary>
    public static bool IsFreeOfNul(ReadOnlySpan<byte> text)
    {
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] == 0)
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Whether every byte is NUL.</summary>
    public static bool IsZero(ReadOnlySpan<byte> bytes)
    {
        for (int i = 0; i < bytes.Length; i++)
        {
            if (bytes[i] != 0)
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Whether two texts are the same bytes.</summary>
    public static bool AreEqual(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right)
    {
        if (left.Length != right.Length)
        {
            return false;
        }

        for (int i = 0; i < left.Length; i++)
        {
            if (left[i] != right[i])
            {
                return false;
            }
        }

        return true;
    }

    private static bool IsLetterOrDigit(byte value) =>
        value is >= (byte)'a' and <= (byte)'z' or >= (byte)'A' and <= (byte)'Z' or >= (byte)'0' and <= (byte)'9';

    private static bool IsNamePunctuation(byte value) =>
        value is (byte)'-' or (byte)'_' or (byte)'.' or (byte)'+';
}
