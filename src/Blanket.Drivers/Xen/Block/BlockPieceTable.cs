using Blanket.Machine;

namespace Blanket.Drivers.Xen.Block;

/// <summary>The pieces of a queue's requests, each with a grant reference of its own. Lists are chained by number; the queue's lock covers them.</summary>
internal sealed class BlockPieceTable
{
    /// <summary>The end of a list.</summary>
    public const int None = -1;

    private readonly GrantAccess _grants;
    private readonly BlockPiece[] _pieces;
    private readonly uint[] _references;
    private readonly int[] _next;
    private int _free = None;

    /// <summary>A table of as many pieces as references can be had, at most <paramref name="capacity"/>.</summary>
    public BlockPieceTable(GrantAccess grants, int capacity)
    {
        _grants = grants;
        _pieces = new BlockPiece[capacity];
        _references = new uint[capacity];
        _next = new int[capacity];
        while (Capacity < capacity && grants.TryReserve(out _references[Capacity]))
        {
            Put(Capacity++);
        }
    }

    /// <summary>Pieces in all.</summary>
    public int Capacity { get; private set; }

    /// <summary>Pieces that are free.</summary>
    public int FreeCount { get; private set; }

    /// <summary>A piece.</summary>
    public ref readonly BlockPiece this[int index] => ref _pieces[index];

    /// <summary>Its grant.</summary>
    public uint Reference(int index) => _references[index];

    /// <summary>The piece behind it.</summary>
    public int Next(int index) => _next[index];

    /// <summary>Takes a piece; there is a free one.</summary>
    /// <param name="piece">What it is.</param>
    /// <param name="last">Last piece of the list that it is appended to; itself afterwards.</param>
    /// <returns>Its number.</returns>
    public int Append(in BlockPiece piece, ref int last)
    {
        int index = _free;
        Check.That(index != None);
        _free = _next[index];
        FreeCount--;
        _pieces[index] = piece;
        _next[index] = None;
        if (last != None)
        {
            _next[last] = index;
        }

        last = index;
        return index;
    }

    /// <summary>Cuts a list within or behind a piece; within one only while a piece is free.</summary>
    /// <param name="index">A piece of the list, the last of what stays.</param>
    /// <param name="sectors">Sectors of it that stay.</param>
    /// <returns>The list of the rest.</returns>
    public int Cut(int index, uint sectors)
    {
        int rest = _next[index];
        _next[index] = None;
        ref BlockPiece piece = ref _pieces[index];
        if (sectors == piece.Sectors)
        {
            return rest;
        }

        BlockPiece second = piece;
        second.First = (byte)(piece.First + sectors);
        piece.Last = (byte)(second.First - 1);
        int alone = None;
        int head = Append(in second, ref alone);
        _next[head] = rest;
        return head;
    }

    /// <summary>Grants a list's pages.</summary>
    public void Grant(int first, ushort domain, bool isReadOnly)
    {
        for (int i = first; i != None; i = _next[i])
        {
            _grants.Grant(_references[i], domain, _pieces[i].Frame, isReadOnly);
        }
    }

    /// <summary>Revokes a list's grants and keeps the list.</summary>
    /// <returns>False when the backend uses a page.</returns>
    public bool TryRevoke(int first)
    {
        bool isFree = true;
        for (int i = first; i != None; i = _next[i])
        {
            isFree &= _grants.TryRevoke(_references[i]);
        }

        return isFree;
    }

    /// <summary>Revokes and frees a list from its beginning.</summary>
    /// <returns>False when the backend uses a page: <paramref name="first"/> is what is left.</returns>
    public bool TryFree(ref int first)
    {
        while (first != None)
        {
            int index = first;
            if (!_grants.TryRevoke(_references[index]))
            {
                return false;
            }

            first = _next[index];
            Put(index);
        }

        return true;
    }

    /// <summary>Gives the references back; the table is not used any more.</summary>
    public void Release()
    {
        for (int i = 0; i < Capacity; i++)
        {
            _grants.Release(_references[i]);
        }
    }

    private void Put(int index)
    {
        _next[index] = _free;
        _free = index;
        FreeCount++;
    }
}
